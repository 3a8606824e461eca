"""A capturing process is killed again and again in the middle of a flood: its successors lose and tear nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor.core.spec import LogSpec
from tests.adapters.capture import Capture
from tests.fakes import run_until

CAPTURER = """
import os, sys
from supervisor.adapters.logs import LogStore
from supervisor.adapters.reactor import Reactor
from supervisor.core.spec import LogSpec

root, tell_after, timestamps = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "True"
reactor = Reactor()
store = LogStore(reactor, root + "/log", root + "/fifo", lambda *_: None)
stream = store.open("web", LogSpec(max_size=100_000, keep=1000, compress=True, timestamps=timestamps))
turns = 0

def output():
    global turns
    turns += 1
    if turns == tell_after:
        os.write(1, b"x")

stream.on_output = output
reactor.run()
"""

WRITER = """
import os, select
i = 0
while i % 500 or not select.select([0], [], [], 0)[0]:
    os.write(1, b"%08d %s\\n" % (i, b"x" * (i % 200)))
    i += 1
os.write(1, b"end\\n")
"""

SPEC = LogSpec(max_size=100_000, keep=1000, compress=False)


@pytest.mark.parametrize("timestamps", [False, True])
def test_sigkill_in_the_middle(tmp_path: Path, timestamps: bool) -> None:
    first = Capture(tmp_path)
    fd = first.store.open("web", SPEC).child_fd()
    first.close()
    with subprocess.Popen([sys.executable, "-S", "-c", WRITER], stdin=subprocess.PIPE, stdout=fd) as writer:
        try:
            for generation in range(8):
                kill_after(generation * 3 % 8 + 1, tmp_path, timestamps)
        finally:
            assert writer.stdin is not None
            writer.stdin.close()
            last = Capture(tmp_path)
            stream = last.store.open("web", SPEC)
            ended: list[bool] = []
            stream.subscribe(lambda lines: ended.append(True) if b"end" in lines else None)
            run_until(last.reactor, lambda: ended)
    os.close(fd)
    kept = last.kept().removesuffix(b"end\n").splitlines()
    if timestamps:
        kept = [line[25:] if line[4:5] == b"-" else line for line in kept]
    assert kept == [b"%08d %s" % (i, b"x" * (i % 200)) for i in range(len(kept))]
    assert len(last.segments()) > 5
    last.close()


def kill_after(turns: int, root: Path, timestamps: bool) -> None:
    """Let a new process capture, and kill it as soon as it has taken output `turns` times."""
    arguments = [str(root), str(turns), str(timestamps)]
    with subprocess.Popen([sys.executable, "-c", CAPTURER, *arguments], stdout=subprocess.PIPE) as capturer:
        try:
            assert capturer.stdout is not None
            assert capturer.stdout.read(1) == b"x"
        finally:
            capturer.kill()
