"""Draws processes and dependencies as trees, in lines that a terminal or a file can take."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypedDict

from supervisor.display.numbers import duration, percent, size
from supervisor.display.status_row import aligned, printable


class Process(TypedDict):
    """A process of a tree, as `tree --json` prints it.

    `role`: main, worker, probe, hook, exec or helper.  `depth`: of how many shown processes it descends.  `notes`: what
    is unusual about it."""

    pid: int
    ppid: int
    depth: int
    role: str
    command: str
    state: str
    age_s: float
    cpu_percent: float | None
    cpu_s: float
    rss_bytes: int
    pss_bytes: int | None
    threads: int
    notes: list[str]


class Family(TypedDict):
    """The processes of one instance; of the daemon where `instance` is None.  `says`: its state in words."""

    instance: str | None
    service: str | None
    state: str | None
    ready: bool | None
    says: str
    processes: list[Process]


class Drawing(NamedTuple):
    """The strings that draw a tree: before a child, before the last one, and below each."""

    child: str
    last: str
    more: str
    none: str


LINES = Drawing("├─ ", "└─ ", "│  ", "   ")
ASCII = Drawing("|- ", "`- ", "|  ", "   ")
COLUMNS = ("PID", "ROLE", "STATE", "AGE", "CPU%", "RSS", "COMMAND")
RIGHT = frozenset(("PID", "AGE", "CPU%", "RSS", "PSS"))
NARROWEST = 20
"""Cells that a command has at least, however narrow the terminal is."""
_NOT_CUT = 1 << 20


def takes_lines(encoding: str | None) -> bool:
    """Whether an encoding has the characters of LINES."""
    try:
        "".join(LINES).encode(encoding or "ascii")
    except (LookupError, UnicodeEncodeError):
        return False
    return True


def prefix(lines: Sequence[bool], drawing: Drawing) -> str:
    """What stands before an entry; `lines`: for each level whether more follows on it."""
    if not lines:
        return ""
    above = "".join(drawing.more if more else drawing.none for more in lines[:-1])
    return above + (drawing.child if lines[-1] else drawing.last)


def following(depths: Sequence[int]) -> list[tuple[bool, ...]]:
    """For each entry of a drawing, whose depths these are: for each level whether more follows on it."""
    found: list[tuple[bool, ...]] = []
    open_levels: set[int] = set()
    for depth in reversed(depths):
        found.append(tuple(level in open_levels for level in range(1, depth + 1)))
        open_levels = {level for level in open_levels if level < depth} | {depth}
    return found[::-1]


def process_lines(
    families: Sequence[Family], drawing: Drawing, *, width: int | None = None, bold: Callable[[str], str] = str
) -> list[str]:
    """The table: a line for each instance, and below it one for each of its processes.

    `width`: where commands are cut; None: nowhere.  With a PSS in the figures that stands in place of the RSS."""
    pss = any(p["pss_bytes"] is not None for family in families for p in family["processes"])
    heads = tuple("PSS" if pss and head == "RSS" else head for head in COLUMNS)
    rows = [_cells(p, pss) for family in families for p in family["processes"]]
    text = aligned([heads[:-1], *rows], RIGHT).splitlines()
    figures = [line.ljust(max(map(len, text))) for line in text]
    room = max(NARROWEST, width - len(figures[0]) - 2) if width else _NOT_CUT
    lines = [f"{figures[0]}  {heads[-1]}"] if rows else []
    left = iter(figures[1:])
    for family in families:
        lines.append(_headline(family, width, bold))
        drawn = following([p["depth"] for p in family["processes"]])
        for process, levels in zip(family["processes"], drawn, strict=True):
            notes = f"({'; '.join(process['notes'])}) " if process["notes"] else ""
            lines.append(f"{next(left)}  {cut(prefix(levels, drawing) + notes + one_line(process['command']), room)}")
    return lines


def _headline(family: Family, width: int | None, bold: Callable[[str], str]) -> str:
    name = family["instance"] or "daemon"
    return bold(name) + cut(f"  {printable(family['says'])}", (width or _NOT_CUT) - len(name))


def _cells(process: Process, pss: bool) -> tuple[str, ...]:
    return (
        str(process["pid"]),
        process["role"],
        process["state"],
        duration(process["age_s"]),
        percent(process["cpu_percent"]),
        size(process["pss_bytes"] if pss else process["rss_bytes"]),
    )


def one_line(command: str) -> str:
    """The first line of a command, and … in place of the others, as of a program given by -c; safe to print."""
    first, more, _ = command.partition("\n")
    return printable(first) + ("…" if more else "")


def cut(text: str, width: int) -> str:
    """At most `width` characters; the last one says that some are missing."""
    return text if len(text) <= width else f"{text[: max(0, width - 1)]}…"


class Branch(NamedTuple):
    """A process, and how many of those that are drawn it descends from."""

    pid: int
    depth: int


def branches(parents: Mapping[int, int]) -> list[Branch]:
    """All processes in the order of a drawing, children below their parents; `parents`: by pid, in order."""
    children: dict[int, list[int]] = {}
    left = []
    for pid, ppid in parents.items():
        if ppid in parents and ppid != pid:
            children.setdefault(ppid, []).append(pid)
        else:
            left.append(Branch(pid, 0))
    left.reverse()
    found: list[Branch] = []
    while left:
        branch = left.pop()
        found.append(branch)
        left += [Branch(pid, branch.depth + 1) for pid in reversed(children.get(branch.pid, []))]
    return found


class Dependence(NamedTuple):
    """A service in a tree of dependencies.  `again`: what is below it stands above already."""

    name: str
    depth: int
    again: bool = False


def dependencies(names: Sequence[str], needs: Mapping[str, Sequence[str]]) -> Iterator[Dependence]:
    """Each of the named services with what it needs below it, each part only once."""
    told: set[str] = set()
    left = [Dependence(name, 0) for name in reversed(names)]
    while left:
        one = left.pop()
        below = needs.get(one.name, ())
        again = bool(below) and one.name in told
        yield one._replace(again=again)
        told.add(one.name)
        if not again:
            left += [Dependence(name, one.depth + 1) for name in reversed(below)]
