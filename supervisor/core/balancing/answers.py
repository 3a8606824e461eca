"""What HAProxy answers on its sockets, read into values: `show stat`, `show info`, `show proc`, refusals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from supervisor.core.balancing.slots import Seen

MARKED = "phi-supervisor"
"""The first word of the description in our file; the mark of the file and its addresses follow."""
REFUSALS = ("No such", "Invalid", "expects", "Unknown", "Permission", "Missing", "Malformed", "Can't", "cannot")
"""Words of answers that say that a command was not carried out.  Success has no word of its own."""


class Statistics(NamedTuple):
    """What HAProxy shows of one slot, except the values on which decisions depend.  `requests`: since its worker
    began."""

    backend: str
    seen: Seen
    status: str
    weight: int
    requests: int
    rate: int
    errors: int


class Worker(NamedTuple):
    """The worker that answered: the file that it has loaded, and for how many seconds it runs."""

    pid: int
    mark: str
    addresses: tuple[str, ...]
    age: float


class Processes(NamedTuple):
    """The processes of HAProxy.  `reloads`: how many there were; `failed`: how many failed since the last good one."""

    current: int | None
    old: tuple[int, ...]
    reloads: int
    failed: int


def statistics(text: str) -> list[Statistics]:
    """The slots in the answers to `show stat`; several answers may follow each other."""
    names: list[str] = []
    found = []
    for line in text.splitlines():
        if line.startswith("# "):
            names = line[2:].split(",")
        elif names and line.count(",") >= len(names) - 1:
            row = dict(zip(names, line.split(","), strict=False))
            if row["svname"].startswith("slot"):
                found.append(_slot(row))
    return found


def _slot(row: dict[str, str]) -> Statistics:
    status = row["status"]
    ready = not status.startswith(("MAINT", "DRAIN"))
    count = {key: int(row[key] or 0) for key in ("scur", "qcur", "used_conn_cur", "weight", "stot", "rate")}
    seen = Seen(int(row["sid"]), ready, row["addr"], count["scur"], count["qcur"], count["used_conn_cur"])
    errors = sum(int(row[key] or 0) for key in ("econ", "eresp"))
    return Statistics(row["pxname"], seen, status, count["weight"], count["stot"], count["rate"], errors)


def together(looks: Iterable[Iterable[Statistics]]) -> list[Statistics]:
    """The looks at several workers, the one that takes new connections first, as one: what is in use is added up."""
    found: dict[tuple[str, int], Statistics] = {}
    for position, look in enumerate(looks):
        for one in look:
            key = one.backend, one.seen.number
            if position == 0:
                found[key] = one
            elif key in found:
                first, more = found[key].seen, one.seen
                found[key] = found[key]._replace(
                    seen=first._replace(
                        sessions=first.sessions + more.sessions,
                        queue=first.queue + more.queue,
                        connections=first.connections + more.connections,
                        lingering=first.lingering or more.ready,
                    )
                )
    return list(found.values())


def worker(text: str) -> Worker | None:
    """The worker in the answer to `show info`; None where there is none in it."""
    pairs = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
    words = pairs.get("description", "").split()
    try:
        pid, age = int(pairs["Pid"]), float(pairs["Uptime_sec"])
    except (KeyError, ValueError):
        return None
    mark, *addresses = words[1:] if len(words) > 1 and words[0] == MARKED else [""]
    return Worker(pid, mark, tuple(addresses), age)


def processes(text: str) -> Processes:
    """The answer to `show proc`.  Old workers stand under a heading of their own."""
    current, old, reloads, failed = None, list[int](), 0, 0
    under_old = False
    for line in text.splitlines():
        words = line.split()
        if line.startswith("#"):
            under_old = line.startswith("# old")
        elif len(words) > 2 and words[0].isdecimal() and words[1] == "master":
            reloads, failed = int(words[2]), int(line.partition("[failed: ")[2].partition("]")[0] or 0)
        elif len(words) > 2 and words[0].isdecimal() and words[1] == "worker":
            if under_old:
                old.append(int(words[0]))
            else:
                current = int(words[0])
    return Processes(current, tuple(old), reloads, failed)


def refusals(text: str) -> Iterator[str]:
    """The lines of an answer that say that a command was not carried out."""
    for line in text.splitlines():
        if any(word in line for word in REFUSALS):
            yield line.strip()
