"""The guard of an upgrade, with processes that stand for the new version."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor.daemon.upgrade_guard import GUARD, STARTED, TAKEN_OVER

PREVIOUS = """
import os, sys
from supervisor.daemon import upgrade_guard as guard
guard.START_WITHIN = float(sys.argv[3])
kept = os.dup(int(sys.argv[1]))
back = ["/bin/sh", "-c", "echo back in another process >&2"]
fd = guard.leave_guard(back, dict(os.environ), {"kept": kept})
os.set_inheritable(fd, True)
os.execv("/bin/sh", ["sh", "-c", sys.argv[2], str(fd)])
"""
"""It leaves a guard, and executes a shell command whose $0 is the descriptor to report on."""
HANGS = "exec sleep 1000"


@pytest.mark.parametrize(
    ("new_version", "comes_back"),
    [
        ("exit 1", True),
        ("kill -KILL $$", True),
        (HANGS, True),
        (f"printf {STARTED.decode()} >&$0; exit 1", True),
        (f"printf {STARTED.decode()} >&$0; kill -SEGV $$", True),
        (f"printf {STARTED.decode()}{TAKEN_OVER.decode()} >&$0; exit 0", False),
        (f"printf {STARTED.decode()} >&$0; printf {TAKEN_OVER.decode()} >&$0; eval exec $0\\>\\&-; exit 1", False),
    ],
)
def test_the_previous_version_comes_back_where_the_new_one_has_not_taken_over(
    tmp_path: Path, new_version: str, comes_back: bool
) -> None:
    within = "0.2" if new_version == HANGS else "20"  # a busy machine may need longer than 0.2 s for a shell
    with (tmp_path / "kept").open("w") as kept:
        run = subprocess.run(  # the guard holds stderr, so its end is waited for
            [sys.executable, "-c", PREVIOUS, str(kept.fileno()), new_version, within],
            stderr=subprocess.PIPE,
            text=True,
            timeout=30,
            check=False,
            pass_fds=[kept.fileno()],
        )
    assert ("back in another process" in run.stderr) is comes_back, run.stderr
    assert GUARD not in os.environ
