"""Reads what /proc and the cgroup file system tell about processes.

Every answer can be outdated when it arrives.  A process can vanish between two reads: the result is then None or an
empty list, never an error.  psutil reads the same but takes two to five times as long for one process, and far longer
for all descendants (docs/decisions/0002-own-reader-of-proc.md); it is used outside the daemon.
"""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cache
from typing import NamedTuple

TICK = 1.0 / os.sysconf("SC_CLK_TCK")
"""Seconds of one clock tick, the unit of the times in `Stat`."""
PAGE = os.sysconf("SC_PAGE_SIZE")
"""Bytes of one page."""

_LINKS_OF_ONE_THREAD = 3  # of /proc/PID/task: two, and one for each thread
_PF_KTHREAD = 0x200000  # include/linux/sched.h
_PF_FORKNOEXEC = 0x40
IN_ONE_PIECE = 1
"""A maximum in bytes, where the first read brings all, and no second one is made to see that."""
_MOST = 1 << 20  # bytes of one /proc file that are read; only environ and cgroup.procs can be longer than a page


class Stat(NamedTuple):
    """The fields of /proc/PID/stat that are used.

    `utime`, `stime` and `start` (since boot) in clock ticks, `rss` in bytes, `flags`: PF_… of include/linux/sched.h.
    """

    name: str
    state: str
    ppid: int
    pgrp: int
    session: int
    utime: int
    stime: int
    threads: int
    start: int
    rss: int
    flags: int = 0

    @property
    def ended(self) -> bool:
        """It is dead, or a zombie of which no thread is left.

        A process whose main thread alone has ended shows Z as well, and works on in its other threads.
        """
        return self.state == "X" or (self.state == "Z" and self.threads <= 1)

    @property
    def kernel_thread(self) -> bool:
        """It is a thread of the kernel, which no signal ends and which belongs to no service."""
        return bool(self.flags & _PF_KTHREAD)

    @property
    def executed(self) -> bool:
        """It executed a program itself, and was not only forked."""
        return not self.flags & _PF_FORKNOEXEC


def read(path: str, maximum: int = _MOST) -> bytes | None:
    """The content of a small kernel file up to `maximum` bytes, or None where it is missing or may not be read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        parts = [os.read(fd, 4096)]
        # To the end: the kernel may stop short of a full buffer at the end of a record.
        while parts[-1] and (left := maximum - sum(map(len, parts))) > 0:
            parts.append(os.read(fd, min(left, 16384)))
        return b"".join(parts)
    except OSError:
        return None
    finally:
        os.close(fd)


def stat(pid: int) -> Stat | None:
    """Read and parse /proc/PID/stat.  None: the process does not exist (any more)."""
    content = read(f"/proc/{pid}/stat", IN_ONE_PIECE)
    return parse_stat(content) if content else None


def parse_stat(content: bytes) -> Stat | None:
    """Parse one line of /proc/PID/stat.  The name may contain anything, spaces and parentheses too."""
    opening, closing = content.find(b"("), content.rfind(b")")
    fields = content[closing + 1 :].split()
    if not 0 < opening < closing or len(fields) < 22:
        return None
    try:
        return Stat(
            name=content[opening + 1 : closing].decode(errors="replace"),
            state=fields[0].decode(errors="replace"),
            ppid=int(fields[1]),
            pgrp=int(fields[2]),
            session=int(fields[3]),
            utime=int(fields[11]),
            stime=int(fields[12]),
            threads=int(fields[17]),
            start=int(fields[19]),
            rss=int(fields[21]) * PAGE,
            flags=int(fields[6]),
        )
    except ValueError:
        return None


def executable(pid: int) -> str:
    """The path of the program that it executes; empty where that may not be read, or it has ended."""
    try:
        return os.readlink(f"/proc/{pid}/exe")  # noqa: PTH115
    except OSError:
        return ""


def start_time(pid: int) -> int | None:
    """When the process began, in clock ticks since boot: with the boot id and the pid it names one process."""
    found = stat(pid)
    return found.start if found else None


@cache
def boot_id() -> str:
    """The id of this boot of the kernel; empty where the kernel does not tell it."""
    return (read("/proc/sys/kernel/random/boot_id") or b"").decode(errors="replace").strip()


def command_line(pid: int) -> list[str]:
    """The process's arguments; empty for a zombie, a kernel thread or no process."""
    content = read(f"/proc/{pid}/cmdline", 65536) or b""
    return [part.decode(errors="replace") for part in content.rstrip(b"\0").split(b"\0")] if content else []


def user_of(pid: int) -> int | None:
    """The user of the process; None where it has ended."""
    try:
        return os.stat(f"/proc/{pid}").st_uid  # noqa: PTH116 - pathlib costs memory
    except OSError:
        return None


def environment_value(pid: int, name: str) -> str | None:
    """One variable of the environment that the process was *started* with; None: not set, or not readable."""
    return environment_values(pid, name)[0]


def environment_values(pid: int, *names: str) -> tuple[str | None, ...]:
    """Several variables from one read, so that an exec in between cannot mix the environments of two programs."""
    found: dict[bytes, str] = {}
    for entry in (read(f"/proc/{pid}/environ") or b"").split(b"\0"):
        name, separator, value = entry.partition(b"=")
        if separator:
            found.setdefault(name, value.decode(errors="replace"))
    return tuple(found.get(name.encode()) for name in names)


def io_bytes(pid: int) -> int:
    """Bytes that the process passed through read and write calls of any kind (files, pipes, sockets); 0 if unknown."""
    total = 0
    for line in (read(f"/proc/{pid}/io") or b"").splitlines():
        if line.startswith((b"rchar:", b"wchar:")):
            with suppress(ValueError):
                total += int(line[6:])
    return total


def pids() -> list[int]:
    """Every process that this one can see."""
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdecimal()]  # noqa: PTH208 - pathlib costs
    except OSError:
        return []


def children(pid: int) -> list[int]:
    """The processes whose parent is `pid` (any thread of it)."""
    tasks = f"/proc/{pid}/task"
    try:
        # The kernel counts the threads there, and most processes have one.
        alone = os.stat(tasks).st_nlink == _LINKS_OF_ONE_THREAD  # noqa: PTH116
        threads = [str(pid)] if alone else os.listdir(tasks)  # noqa: PTH208
    except OSError:
        return []
    found: list[int] = []
    for thread in threads:
        content = read(f"/proc/{pid}/task/{thread}/children")
        if content is None and not _HAS_CHILDREN_FILES:
            return [p for p in pids() if (s := stat(p)) is not None and s.ppid == pid]
        found += map(int, (content or b"").split())
    return found


def descendants(pid: int) -> list[int]:
    """Children, grandchildren …, parents before their children, `pid` itself left out.

    Orphans are missing, because they have another parent: their cgroup, mark or environment tells where they belong.
    """
    family, seen = [pid], {pid}
    for parent in family:  # grows while it is walked
        new = [child for child in children(parent) if child not in seen]
        family += new
        seen.update(new)
    return family[1:]


def cgroup_of(pid: int) -> str | None:
    """The process's path in the unified (v2) hierarchy, such as `/system.slice/x.service`; None if unknown."""
    for line in (read(f"/proc/{pid}/cgroup") or b"").splitlines():
        if line.startswith(b"0::"):
            return line[3:].decode(errors="surrogateescape").removesuffix(" (deleted)")
    return None


def cgroup_directory(path: str) -> str | None:
    """The directory under a mount point for such a path; None where it does not exist (any more)."""
    for mount in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
        if os.path.exists(f"{mount}{path}/cgroup.procs"):  # noqa: PTH110
            return f"{mount}{path}"
    return None


def cgroup_members(directory: str) -> list[int]:
    """The processes of one cgroup, without those of the cgroups below it.

    `cgroup.procs` lacks a process whose main thread had ended before it was moved there; `cgroup.threads` has the rest.
    """
    found = _numbers(f"{directory}/cgroup.procs")
    threads = _numbers(f"{directory}/cgroup.threads")
    if len(threads) > len(found):
        known = {thread for pid in found for thread in _threads(pid)} | set(found)
        for thread in threads:
            if thread not in known and (owner := _process_of(thread)) is not None:
                known.update(_threads(owner))
                found.append(owner)
    return found


def _numbers(path: str) -> list[int]:
    return [int(line) for line in (read(path, 16 * _MOST) or b"").split()]


def _threads(pid: int) -> list[int]:
    try:
        return [int(name) for name in os.listdir(f"/proc/{pid}/task")]  # noqa: PTH208
    except OSError:
        return []


def _process_of(thread: int) -> int | None:
    """The process that a thread belongs to; None where it has ended."""
    for line in (read(f"/proc/{thread}/status") or b"").splitlines():
        if line.startswith(b"Tgid:"):
            return int(line[5:])
    return None


_HAS_CHILDREN_FILES = read(f"/proc/self/task/{os.getpid()}/children") is not None  # CONFIG_PROC_CHILDREN
