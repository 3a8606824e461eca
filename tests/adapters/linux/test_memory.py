"""Freed memory, and code that only a start needs, are returned to the kernel."""

from __future__ import annotations

import ctypes
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from supervisor.adapters.linux import memory
from supervisor.adapters.linux.memory import APART, AT_REST, SpareMemory, give_back, unchanged
from tests.doubles.fakes import FakeReactor

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


class Daemon:
    """A daemon whose clock is turned by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reactor = FakeReactor()
        self.began = self.reactor.now()
        self.started, self.busy = 1, False
        self.given_back: list[float] = []
        monkeypatch.setattr(memory, "give_back", lambda: self.given_back.append(self.reactor.now() - self.began))
        self.spare = SpareMemory(cast("Any", self.reactor), lambda: self.started, lambda: self.busy)

    def after(self, seconds: float) -> list[float]:
        """The times at which memory was given back, when these seconds have passed."""
        self.reactor.advance(seconds)
        return self.given_back


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Daemon:
    return Daemon(monkeypatch)


def test_memory_is_given_back_when_no_process_is_started_any_more(daemon: Daemon) -> None:
    daemon.spare.worked()
    daemon.started = 2
    assert daemon.after(AT_REST) == []
    daemon.busy = True  # others wait for their start
    assert daemon.after(AT_REST) == []
    daemon.busy = False
    assert daemon.after(AT_REST) == [3 * AT_REST]
    assert daemon.after(1000.0) == [3 * AT_REST]


def test_a_service_that_is_started_again_and_again_does_not_put_it_off_for_ever(daemon: Daemon) -> None:
    daemon.spare.worked()
    for _ in range(round(2 * APART / AT_REST)):
        daemon.started += 1
        daemon.after(AT_REST)
    assert daemon.given_back == [AT_REST + APART]


def test_a_start_of_thousands_is_not_held_up(daemon: Daemon) -> None:
    daemon.busy = True
    daemon.spare.worked()
    assert daemon.after(2 * APART) == []
    daemon.busy = False
    assert daemon.after(AT_REST) == [2 * APART + AT_REST]


def test_frequent_large_answers_are_followed_by_it_once_in_a_while(daemon: Daemon) -> None:
    for _ in range(round(2.5 * APART / AT_REST)):
        daemon.spare.worked()
        daemon.after(AT_REST)
    assert daemon.given_back == [AT_REST, AT_REST + APART, AT_REST + 2 * APART]
