"""Takes evidence of a suspect from /proc before it is killed: state, threads, descriptors, limits, cgroup, host.

It never blocks.  Most files of /proc can be read at once whatever the process does.  The command line and the
environment need the lock of the process's memory, which a thread in state D can hold, so they are left out then.  The
time is bounded by the budget, the size by MOST.  Of the environment only the names are taken, because values can be
secrets.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from supervisor.adapters.diagnosis.open_sockets import SOCKETS, describe, descriptors
from supervisor.adapters.linux import freezer, procfs
from supervisor.core.text.redact import without_secrets

if TYPE_CHECKING:
    from supervisor.core.model.document_types import JSON
    from supervisor.core.model.evidence_documents import Evidence, ExaminedHost, ExaminedProcess, Thread
    from supervisor.core.model.socket_documents import Socket


MOST = 64 * 1024
"""Bytes of the evidence as JSON at most."""
PROCESSES = 16
"""Processes of a tree in the evidence at most."""
THREADS = 64
"""Threads of all processes together at most."""
LINES = 40
"""Lines of output at most."""
LINE = 400
"""Characters of a line at most."""
COMMAND = 400
"""Characters of a command line at most."""
NAMES = 200
"""Names of environment variables at most."""
_LIMITS = {
    "Max open files": "nofile",
    "Max processes": "nproc",
    "Max address space": "as",
    "Max locked memory": "memlock",
    "Max core file size": "core",
    "Max file size": "fsize",
    "Max cpu time": "cpu",
}
_CGROUP = ("memory.current", "memory.max", "memory.high", "memory.pressure", "cpu.max", "cpu.stat", "pids.max")
_IN_WAIT = ("do_wait", "do_sigtimedwait", "sigsuspend", "pause")
"""Where in the kernel a process waits that only looks after its children."""
_NAME = re.compile(rb"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


class Look:
    """The state of one examination: the time and the threads that are left, and the sockets found."""

    def __init__(self, deadline: float, clock: Callable[[], float]) -> None:
        self.threads = THREADS
        self.sockets: list[tuple[str, list[Socket], int]] = []  # inode, list of its process, descriptor
        self.cut = False
        self._deadline, self._clock = deadline, clock

    def may(self) -> bool:
        """Whether there is time left; if not, the evidence says that it was cut short."""
        if self._clock() >= self._deadline:
            self.cut = True
        return not self.cut


def examine(
    pid: int, members: Sequence[int], last_lines: Sequence[str], budget_s: float, clock: Callable[[], float]
) -> tuple[str | None, Evidence]:
    """Why the silence of `pid` proves nothing (None: no such reason), and evidence of what it does.

    `members`: all processes of its tree.  `last_lines`: its newest output.  `clock`: seconds, for the budget.
    """
    began = clock()
    look = Look(began + budget_s, clock)
    status = _status(f"/proc/{pid}")
    frozen = freezer.frozen_by(pid)
    cgroup = _cgroup(pid)
    if cgroup is not None:
        cgroup["frozen"] = frozen is not None
    others = [member for member in members if member != pid]
    held, others_can_run = _held(status, frozen), False
    if held is None:
        held, others_can_run = _held_among(pid, others[: PROCESSES - 1])
    evidence: Evidence = {
        "pid": pid,
        "held": held,
        "cgroup": cgroup,
        "host": host(),
        "last_lines": [line[:LINE] for line in last_lines[-LINES:]],
        "processes": [],
    }
    for member in [pid, *others[: PROCESSES - 1]]:
        if look.may() and (found := _process(member, look, whole=member == pid)) is not None:
            evidence["processes"].append(found)
    known = describe(f"/proc/{pid}", {inode for inode, _, _ in look.sockets}, look.may)
    for inode, sockets, number in look.sockets:
        sockets.append({"fd": number, **known.get(inode, {"kind": "other"})})
    if others_can_run:
        evidence["others_can_run"] = True
    if len(others) >= PROCESSES:
        evidence["processes_left_out"] = len(others) - PROCESSES + 1
    if look.cut:
        evidence["cut_short"] = f"after {budget_s:g} s"
    evidence["took_ms"] = round(1000 * (clock() - began), 1)
    return held, _fitting(evidence)


def host() -> ExaminedHost:
    """Load averages, and pressure stall information (per cent of the last 10 and 60 s) where the kernel has it."""
    load = (procfs.read("/proc/loadavg") or b"").split()
    found: ExaminedHost = {"load": [float(value) for value in load[:3]], "cpus": os.cpu_count()}
    for resource in ("cpu", "memory", "io"):
        pressure = _pressure(procfs.read(f"/proc/pressure/{resource}") or b"")
        if pressure:
            found.setdefault("psi", {})[resource] = pressure
    return found


def _pressure(content: bytes) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for line in content.decode(errors="replace").splitlines():
        kind, _, rest = line.partition(" ")
        values = dict(pair.partition("=")[::2] for pair in rest.split())
        try:
            found[kind] = [float(values["avg10"]), float(values["avg60"])]
        except (KeyError, ValueError):
            continue
    return found


def _held(status: Mapping[str, str], frozen: str | None) -> str | None:
    state = status.get("State", "?")[:1]
    tracer = status.get("TracerPid", "0")
    if tracer != "0":
        return f"traced by pid {tracer}"
    if state == "t":
        return "traced"
    if state == "T":
        return "stopped (SIGSTOP)"
    return frozen


def _held_among(pid: int, others: Sequence[int]) -> tuple[str | None, bool]:
    """The same for the first of a tree's other processes that cannot run, and whether the rest could answer for it.

    Behind a wrapper the others are all that matters, so none of the rest can answer where all of them are held and the
    main process only waits for its children.  Elsewhere one stopped worker is no excuse for the whole service."""
    first, can_run = None, False
    for member in others:
        status = _status(f"/proc/{member}")
        held = _held(status, freezer.frozen_by(member))
        if held is None:
            can_run |= status.get("State", "X")[:1] not in "ZX"
        elif first is None:
            first = f"{held}: pid {member}"
    if first is None:
        return None, False
    waits = (procfs.read(f"/proc/{pid}/wchan") or b"").decode(errors="replace")
    if not can_run and (waits in ("", "0") or any(known in waits for known in _IN_WAIT)):
        return first, False
    return f"{first}, until the others could have answered", True


def _cgroup(pid: int) -> JSON | None:
    """Its path in the unified hierarchy, its limits and usage; None where it has none."""
    path = procfs.cgroup_of(pid)
    if path is None:
        return None
    directory = procfs.cgroup_directory(path)
    contents = {name: procfs.read(f"{directory}/{name}") for name in _CGROUP}
    texts = {name: text.decode(errors="replace").strip()[:LINE] for name, text in contents.items() if text}
    return {"path": path.encode(errors="replace").decode(), **texts}


def _process(pid: int, look: Look, *, whole: bool) -> ExaminedProcess | None:
    """The evidence of one process; None where it has ended.  `whole`: it is the suspect, of which more is taken."""
    base = f"/proc/{pid}"
    stat = procfs.stat(pid)
    if stat is None:
        return None
    status = _status(base)
    threads = _threads(base, look)
    found: ExaminedProcess = {
        "pid": pid,
        "ppid": stat.ppid,
        "name": stat.name,
        "state": stat.state,
        "memory_bytes": stat.rss,
        "swap_bytes": _kilobytes(status.get("VmSwap")),
        "cpu_s": round((stat.utime + stat.stime) * procfs.TICK, 2),
        "thread_count": stat.threads,
        "threads": threads,
        "command": None,
        "sockets": [],
        "fds": None,
        "files": [],
    }
    if stat.state != "D" and all(thread["state"] != "D" for thread in threads):  # reading could block like the process
        found["command"] = " ".join(without_secrets(procfs.command_line(pid)))[:COMMAND]
        if whole:
            found["environment"] = _environment(base)
    if whole:
        found["limits"] = _limits(base)
    found["fds"], sockets, found["files"] = descriptors(base, SOCKETS - len(look.sockets), look.may)
    look.sockets += [(inode, found["sockets"], number) for inode, number in sockets.items()]
    return found


def _threads(base: str, look: Look) -> list[Thread]:
    """Each thread with what it waits for, and its kernel stack where that may be read (CAP_SYS_ADMIN)."""
    found: list[Thread] = []
    try:
        numbers = os.listdir(f"{base}/task")  # noqa: PTH208 - pathlib costs
    except OSError:
        return found
    for tid in numbers:
        if look.threads <= 0 or not look.may():
            break
        path = f"{base}/task/{tid}"
        stat = procfs.parse_stat(procfs.read(f"{path}/stat") or b"")
        if stat is None:
            continue
        look.threads -= 1
        waits = (procfs.read(f"{path}/wchan") or b"").decode(errors="replace")
        thread: Thread = {
            "tid": int(tid),
            "name": stat.name,
            "state": stat.state,
            "waits_in": waits if waits not in ("", "0") else None,
            "cpu_s": round((stat.utime + stat.stime) * procfs.TICK, 2),
        }
        stack = [line.rpartition("] ")[2] for line in (procfs.read(f"{path}/stack") or b"").decode().splitlines()]
        if stack:
            thread["stack"] = stack[:12]
        found.append(thread)
    return found


def _status(base: str) -> dict[str, str]:
    lines = (procfs.read(f"{base}/status") or b"").decode(errors="replace").splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def _kilobytes(text: str | None) -> int | None:
    number = (text or "").partition(" ")[0]
    return 1024 * int(number) if number.isdecimal() else None


def _environment(base: str) -> list[str]:
    """The names of the environment.  A process may have overwritten this memory, so what is no name is left out."""
    names = (entry.partition(b"=") for entry in (procfs.read(f"{base}/environ") or b"").split(b"\0"))
    return sorted({name.decode() for name, equals, _ in names if equals and _NAME.fullmatch(name)})[:NAMES]


def _limits(base: str) -> dict[str, int]:
    """The soft limits; unlimited ones are left out."""
    found: dict[str, int] = {}
    for line in (procfs.read(f"{base}/limits") or b"").decode(errors="replace").splitlines():
        soft = line[26:].split()[:1]
        name = _LIMITS.get(line[:26].strip())
        if name and soft and soft[0].isdecimal():
            found[name] = int(soft[0])
    return found


def _fitting(evidence: Evidence) -> Evidence:
    """Reduce the evidence to MOST bytes, dropping the least useful parts first."""
    processes = evidence["processes"]
    sheds: list[Callable[[], object]] = [
        lambda: [thread.pop("stack", None) for process in processes[1:] for thread in process["threads"]],
        lambda: [process.update({"sockets": [], "files": []}) for process in processes[1:]],
        lambda: processes[0].pop("environment", None) if processes else None,
        lambda: [process.update({"threads": process["threads"][:4]}) for process in processes],
        lambda: evidence.update({"last_lines": evidence["last_lines"][-10:]}),
        lambda: evidence.update({"processes": processes[:2]}),
        lambda: evidence.update({"last_lines": []}),
    ]
    for shed in sheds:
        if len(json.dumps(evidence)) <= MOST:
            break
        shed()
        evidence["shed"] = True
    return evidence
