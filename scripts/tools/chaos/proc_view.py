"""Reads /proc for the judge, without any of the supervisor's code."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil

PR_SET_CHILD_SUBREAPER = 36
MARK = "CHAOS_PLACE"
"""Environment variable of every process that chaos or its daemons start: the place to which it belongs."""


TICKS = os.sysconf("SC_CLK_TCK")


class Process(NamedTuple):
    """A process, identified for good: a pid alone may be used again. `start`: clock ticks since boot."""

    pid: int
    start: int


class Stat(NamedTuple):
    """A part of /proc/PID/stat. `cpu`: seconds of CPU time used."""

    name: str
    state: str
    ppid: int
    start: int
    cpu: float


def stat(pid: int) -> Stat | None:
    try:
        head, _, tail = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")
    except OSError:
        return None
    fields = tail.split()
    return Stat(
        head.partition("(")[2], fields[0], int(fields[1]), int(fields[19]), (int(fields[11]) + int(fields[12])) / TICKS
    )


def alive(process: Process) -> bool:
    """Whether the process exists and is not a zombie."""
    found = stat(process.pid)
    return found is not None and found.start == process.start and found.state not in "ZX"


def busy(pid: int) -> float:
    """Seconds that its main thread has run or waited for a CPU; 0 if the kernel does not tell."""
    with suppress(OSError, ValueError):
        ran, waited, _ = Path(f"/proc/{pid}/schedstat").read_text().split()
        return (int(ran) + int(waited)) / 1e9
    return 0.0


def waited(pid: int) -> float:
    """Seconds for which its main thread has waited for a CPU; 0 if the kernel does not tell."""
    with suppress(OSError, ValueError):
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    return 0.0


def open_process(process: Process) -> int | None:
    """A pidfd of exactly this process; None if it is gone."""
    try:
        fd = os.pidfd_open(process.pid)
    except OSError:
        return None
    if alive(process):
        return fd
    os.close(fd)
    return None


def send(process: Process, number: int) -> bool:
    """Signal exactly this process; False if it is gone."""
    fd = open_process(process)
    if fd is None:
        return False
    try:
        signal.pidfd_send_signal(fd, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(fd)
    return True


def all_processes() -> Iterator[tuple[int, Stat]]:
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal() and (found := stat(int(entry.name))) is not None:
            yield int(entry.name), found


def descendants(pid: int) -> dict[int, Stat]:
    """All processes below `pid`, zombies included."""
    processes = dict(all_processes())
    family = {pid}
    while more := {p for p, s in processes.items() if s.ppid in family} - family:
        family |= more
    return {p: s for p, s in processes.items() if p in family and p != pid}


def tree(pid: int) -> dict[int, Stat]:
    """`descendants`, read quickly: it may miss one whose sibling ends at that moment."""
    family: dict[int, Stat] = {}
    waiting = [pid]
    while waiting:
        with suppress(OSError):
            for file in Path(f"/proc/{waiting.pop()}/task").glob("*/children"):
                with suppress(OSError):
                    found = {int(child): stat(int(child)) for child in file.read_text().split()}
                    waiting += found.keys() - family.keys()
                    family |= {child: its for child, its in found.items() if its is not None}
    return family


def marked(place: str) -> Iterator[tuple[Process, str]]:
    """Every live process that was started in `place`, with its name, except this one."""
    wanted = f"{MARK}={place}".encode()
    for pid, found in all_processes():
        with suppress(OSError):
            ours = wanted in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") and pid != os.getpid()
            if ours and found.state not in "ZX":
                yield Process(pid, found.start), found.name


def adopt_orphans() -> None:
    """Become the parent of orphans that daemons leave behind, as PID 1 would, to count and to reap them."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap(but: set[int]) -> None:
    """Reap zombies as PID 1 does. `but`: children that other code waits for."""
    for pid, found in all_processes():
        if found.ppid == os.getpid() and found.state == "Z" and pid not in but:
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def descriptors(pid: int) -> int:
    return psutil.Process(pid).num_fds()


def memory(pid: int) -> int:
    """Proportional set size in bytes."""
    return psutil.Process(pid).memory_full_info().pss
