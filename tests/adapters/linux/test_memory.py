"""Freed memory, and code that only a start needs, are returned to the kernel."""

from __future__ import annotations

import ctypes
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from supervisor.adapters.linux.memory import give_back, unchanged
from supervisor.daemon import runtime

BLOCK, BLOCKS = 4096, 4000


def anonymous() -> int:
    """Bytes of this process's own memory."""
    found = re.search(r"^Anonymous: +(\d+) kB", Path("/proc/self/smaps_rollup").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="another C library than glibc")
def test_what_lies_between_blocks_in_use_is_given_back() -> None:
    blocks = [b"x" * (BLOCK + n % 2) for n in range(BLOCKS)]
    kept = blocks[::100]
    blocks.clear()
    before = anonymous()
    give_back()
    assert before - anonymous() > BLOCK * BLOCKS // 2
    assert len(kept) == BLOCKS // 100


RESIDENT = """
import re, sqlite3, sys, threading
from pathlib import Path
from supervisor.adapters.linux.memory import give_back

def resident() -> int:
    blocks = re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", Path("/proc/self/smaps").read_text(), flags=re.MULTILINE)
    found = [re.search(r"^Rss: +([0-9]+)", b, re.MULTILINE) for b in blocks if re.match(r".* r-xp .*sqlite3", b)]
    return sum(int(f[1]) for f in found)

sqlite3.connect(":memory:").execute("SELECT count(*) FROM sqlite_master").fetchall()
before = resident()
if sys.argv[1] == "threads":
    end = threading.Event()
    other = threading.Thread(target=end.wait)
    other.start()
give_back()
after = resident()
again = sqlite3.connect(":memory:").execute("SELECT 40 + 2").fetchone()[0]
if sys.argv[1] == "threads":
    end.set()
    other.join()
print(before, after, again)
"""


@pytest.mark.parametrize("beside", ["alone", "threads"])
def test_code_that_only_the_start_needed_leaves_the_process_and_comes_back(beside: str) -> None:
    """SQLite's code, in a process of its own: beside another thread, which may load a library, it stays."""
    run = subprocess.run([sys.executable, "-c", RESIDENT, beside], capture_output=True, text=True, check=True)
    before, after, again = map(int, run.stdout.split())
    assert before > 0 and again == 42
    assert after == (0 if beside == "alone" else before)


SMAPS = """\
7f0000001000-7f0000003000 r--p 00002000 fe:00 260850                     /usr/lib/libone.so
Rss:                   8 kB
Anonymous:             {} kB
AnonHugePages:         0 kB
Private_Hugetlb:       {} kB
Swap:                  {} kB
SwapPss:               0 kB
7f0000003000-7f0000004000 rw-p 00004000 fe:00 260850                     /usr/lib/libone.so
Anonymous:             0 kB
Private_Hugetlb:       0 kB
Swap:                  0 kB
7f0000004000-7f0000005000 r-xp 00000000 00:00 0                          [vdso]
Anonymous:             0 kB
Private_Hugetlb:       0 kB
Swap:                  0 kB
7f0000008000-7f0000009000 r-xp 00000000 fe:00 260851                     /usr/lib/libtwo.so
Anonymous:             0 kB
Private_Hugetlb:       0 kB
Swap:                  0 kB
"""


@pytest.mark.parametrize(
    ("own", "given"),
    [((0, 0, 0), True), ((4, 0, 0), False), ((0, 2048, 0), False), ((0, 0, 8), False)],
    ids=["none", "in memory", "a huge one", "in the swap space"],
)
def test_a_mapping_with_pages_of_its_own_stays(own: tuple[int, int, int], given: bool) -> None:
    """What the loader has written into a library is lost otherwise; in the swap space, it does not count as
    anonymous."""
    lines = SMAPS.format(*own).encode().splitlines(keepends=True)
    assert unchanged(lines) == [*[(0x7F0000001000, 0x2000)] * given, (0x7F0000008000, 0x1000)]


def test_without_proc_and_glibc_nothing_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: str) -> None:
        raise FileNotFoundError(path)

    monkeypatch.setattr("os.scandir", refused)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace())
    give_back()


def test_a_daemon_does_so_when_its_services_have_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is ready for its first client before, and looks again as long as processes are started."""
    done: list[str] = []
    later: list[tuple[float, Callable[[], None]]] = []
    instance = SimpleNamespace(incarnation=1)
    daemon = runtime.Runtime.__new__(runtime.Runtime)
    daemon._parts = cast(
        "Any",
        SimpleNamespace(
            server=SimpleNamespace(warm_up=lambda: done.append("warm")),
            service_set=SimpleNamespace(instances={"web": instance}),
            now=lambda: 10.0,
            loop=SimpleNamespace(call_at=lambda *due: later.append(due)),
        ),
    )
    monkeypatch.setattr(runtime, "give_back", lambda: done.append("given back"))
    daemon._warm_up()
    instance.incarnation = 2
    for looks in (1, 2):
        assert (done, len(later)) == (["warm"], looks)
        at, look = later[-1]
        assert at == 10.0 + runtime.AT_REST
        look()
    assert (done, len(later)) == (["warm", "given back"], 2)
