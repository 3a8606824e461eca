"""Makes a host busy: loops that want a CPU, a reader that never has its memory, a writer that waits for the disk.

Each of these processes ends by itself when the process that started it is gone.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

FILE, LIMIT = 256 << 20, 64 << 20
"""Bytes of the file that is read over and over, and of the memory limit for that."""
WRITTEN = 64 << 20
"""Bytes of the file that is written over and over."""
QUOTA, SECOND, SHARING = Path("/sys/fs/cgroup/cpu"), 1_000_000, 10
"""The hierarchy of cgroups (v1) that limits processors, which is apart from the one (v2) that holds trees."""
PARENT = "import os\nparent = os.getppid()\n"
SPINS = f"{PARENT}while os.getppid() == parent:\n    sum(range(100_000))\n"
FIRST = """
try:
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(os.sched_get_priority_max(os.SCHED_FIFO)))
except PermissionError:  # in a group that has no time for it, in which nothing else is in real time either
    raise SystemExit
"""
READER = f"""{PARENT}
import mmap, sys
with open(sys.argv[1], "rb") as file:
    memory = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    while os.getppid() == parent:
        for place in range(0, len(memory), 4096):
            memory[place]
"""
WRITER = f"""{PARENT}
import sys
with open(sys.argv[1], "wb") as file:
    while os.getppid() == parent:
        file.seek(0)
        for _ in range({WRITTEN >> 20}):
            file.write(os.urandom(1 << 20))
        os.fsync(file.fileno())
"""
GREEDY = f"""{PARENT}
os.sched_setaffinity(0, {{min(os.sched_getaffinity(0))}})
os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
while os.getppid() == parent:
    pass
"""


@contextlib.contextmanager
def busy_host(
    place: Path, say: Callable[[str], None], loops: int, *, disk: bool = False, real_time: bool = False
) -> Iterator[None]:
    """Keep the host busy; the files lie in `place`. `real_time`: as root, one loop takes a CPU for itself."""
    with contextlib.ExitStack() as stack:
        limited = _memory_limit(place.name)
        if limited is not None:
            stack.callback(limited.rmdir)
            big = place / "big"
            with big.open("wb") as file:
                for _ in range(FILE >> 20):
                    file.write(os.urandom(1 << 20))
            join = f"open('{limited}/cgroup.procs', 'w').write('0')\n"
            _start(stack, join + READER, str(big))
        if disk:
            _start(stack, WRITER, str(place / "written"))
        stack.enter_context(busy_loops(loops))
        if real_time and os.geteuid() == 0:
            _start(stack, GREEDY)
        say(
            f"{loops} busy loops"
            + (", one reader that never has its memory" if limited else "; no memory limit can be set")
            + (", one writer that waits for the disk" if disk else "")
        )
        yield


@contextlib.contextmanager
def busy_loops(count: int) -> Iterator[None]:
    """So many processes that want a CPU all the time."""
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            _start(stack, SPINS)
        yield


@contextlib.contextmanager
def starved(pids: Sequence[int]) -> Iterator[None]:
    """These processes share a thousandth of a processor with busy loops: each runs for a millisecond in ten seconds or
    so.  One that the kernel schedules in real time stands behind a loop of a higher priority."""
    group, before = QUOTA / f"starved-{os.getpid()}", dict[int, Path]()
    group.mkdir(exist_ok=True)
    with contextlib.ExitStack() as stack:
        stack.callback(group.rmdir)
        stack.callback(_moved_out, group)
        for name, value in (("cfs_period", SECOND), ("cfs_quota", SECOND // 1000), ("rt_period", SECOND)):
            (group / f"cpu.{name}_us").write_text(str(value))
        join = f"open('{group}/cgroup.procs', 'w').write('0')\n"
        with contextlib.suppress(OSError):  # a kernel that groups no processes of real time
            (group / "cpu.rt_runtime_us").write_text(str(SECOND // 1000))
            for cpu in os.sched_getaffinity(0):
                _start(stack, f"import os\nos.sched_setaffinity(0, [{cpu}])\n{FIRST}{join}{SPINS}")
        for _ in range(SHARING):
            _start(stack, join + SPINS)
        stack.callback((group / "cpu.cfs_quota_us").write_text, "-1")  # what is killed needs a processor to end
        stack.callback(_moved_back, before)
        for pid in pids:
            before[pid] = QUOTA / _group_of(pid)
            (group / "cgroup.procs").write_text(str(pid))
        yield


def _moved_back(before: dict[int, Path]) -> None:
    for pid, home in before.items():
        with contextlib.suppress(OSError):  # it has ended
            (home / "cgroup.procs").write_text(str(pid))


def _moved_out(group: Path) -> None:
    """What the starved processes have started."""
    for pid in (group / "cgroup.procs").read_text().split():
        with contextlib.suppress(OSError):
            (QUOTA / "cgroup.procs").write_text(pid)


def pressure() -> float:
    """Seconds since the machine's start in which some process waited for a processor; 0: the kernel does not count."""
    with contextlib.suppress(OSError):
        return int(Path("/proc/pressure/cpu").read_text().splitlines()[0].rpartition("=")[2]) / SECOND
    return 0.0


def quota_is_there() -> bool:
    """Whether processes can be starved one by one, without taking them out of the groups by which they are ended."""
    return (QUOTA / "cpu.cfs_quota_us").exists()


def _group_of(pid: int) -> str:
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    return next((line.split(":", 2)[2].lstrip("/") for line in lines if "cpu" in line.split(":")[1].split(",")), "")


def _start(stack: contextlib.ExitStack, code: str, *arguments: str) -> None:
    process = subprocess.Popen([sys.executable, "-S", "-c", code, *arguments])
    stack.callback(process.wait)
    stack.callback(process.kill)


def _memory_limit(name: str) -> Path | None:
    """A new cgroup with a memory limit, of either version; None where it cannot be made."""
    for root, limit in (("/sys/fs/cgroup", "memory.max"), ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")):
        group = Path(root, name)
        with contextlib.suppress(OSError):
            if not Path(root, "cgroup.procs").exists():  # an ordinary directory above several hierarchies
                continue
            group.mkdir()
            with contextlib.suppress(OSError):
                (group / limit).write_text(str(LIMIT))
                return group
            group.rmdir()
    return None
