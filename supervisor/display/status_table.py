"""The rows of the status for a terminal: problems stand out by colour and weight.

Without rich, which takes five times as long to import as an interpreter to start.
"""

from __future__ import annotations

from collections.abc import Sequence

from supervisor.display.numbers import count, duration
from supervisor.display.severity import Severity, severity
from supervisor.display.state_style import severity_color
from supervisor.display.status_row import COLUMNS, LEAST_WANTED, RIGHT, cells, printable

TYPE_CHECKING = False  # importing typing takes time
if TYPE_CHECKING:
    from collections.abc import Callable

    from supervisor.core.model.documents import Status
    from supervisor.core.model.instance_documents import Instance

    Paint = Callable[[str, str], str]

SHORTEST_NOTE = 30
_WEIGHTS = ("dim", "", "bold", "bold")
"""By severity."""
_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


def painted(text: str, style: str) -> str:
    """The text in a style such as `bold red`, for a terminal."""
    codes = ";".join(_CODES[word] for word in style.split())
    return f"\x1b[{codes}m{text}\x1b[0m" if codes and text else text


def unpainted(text: str, style: str) -> str:
    """The text as it is."""
    return text


def table(status: Status, missed: int, width: int, paint: Paint) -> str:
    """The rows and a summary, in lines of at most `width` characters where that is possible.

    A narrow terminal omits the least important columns, and a long note continues on further lines.

    `missed`: how many should be up and are not.  `paint`: painted or unpainted."""
    rows = [dict(zip(COLUMNS, map(printable, cells(row)), strict=True)) for row in status["instances"]]
    widths = {name: max([len(name), *(len(row[name]) for row in rows)]) for name in COLUMNS}
    columns = _fitting(widths, width)
    before = sum(widths[name] + 2 for name in columns[:-1])
    widths["NOTE"] = max(SHORTEST_NOTE, min(widths["NOTE"], width - before))
    out = [
        paint("  ".join(_placed(name, name.lower(), widths[name]) for name in columns).rstrip(), "dim"),
        "─" * min(width, before + widths["NOTE"]),
    ]
    for row, texts in zip(status["instances"], rows, strict=True):
        first, *rest = _folded(texts["NOTE"], widths["NOTE"])
        line = [paint(_placed(name, texts[name], widths[name]), _style(name, row)) for name in columns[:-1]]
        out.append("  ".join([*line, paint(first, _style("NOTE", row))]).rstrip())
        out += [" " * before + paint(part, _style("NOTE", row)) for part in rest]
    return "\n".join([*out, "", *_summary(status, missed, paint)]) + "\n"


def _fitting(widths: dict[str, int], width: int) -> list[str]:
    """The columns that fit beside a readable note, which is the last."""
    kept = list(COLUMNS)
    for name in LEAST_WANTED:
        if sum(min(widths[n], SHORTEST_NOTE) if n == "NOTE" else widths[n] + 2 for n in kept) <= width:
            break
        kept.remove(name)
    return kept


def _placed(column: str, text: str, width: int) -> str:
    return text.rjust(width) if column in RIGHT else text.ljust(width)


def _folded(text: str, width: int) -> Sequence[str]:
    """The lines of a note."""
    if len(text) <= width:
        return (text,)
    from textwrap import wrap  # most notes are short

    return wrap(text, width)


def _style(column: str, row: Instance) -> str:
    """The style of a cell: dim where all is well; name, state and reason of a problem stand out."""
    how_bad = severity(row)
    if how_bad is Severity.FINE and (row["state"] != "running" or column == "NOTE"):
        return "dim"
    if column in ("STATE", "READY", "NOTE"):
        return by_severity(row)
    if column == "NAME":
        return "bold" if how_bad >= Severity.WRONG else ""
    return "dim" if how_bad is Severity.FINE else ""


def by_severity(row: Instance) -> str:
    """The style of what says how an instance is."""
    return f"{_WEIGHTS[severity(row)]} {severity_color(row)}".strip()


def _summary(status: Status, missed: int, paint: Paint) -> list[str]:
    """How many are ready, the daemon, and what runs otherwise than the file says or not as it should."""
    from supervisor.display.deviations import deviation_lines
    from supervisor.display.rollout_line import under_way

    rows, daemon = status["instances"], status["supervisor"]
    ready = sum(row["ready"] for row in rows)
    line = paint(f"{ready} of {count(len(rows), 'instance')} ready", "" if missed else "dim green")
    if missed:
        worst = max(rows, key=severity)
        line += paint(f", {missed} should be up but {'is' if missed == 1 else 'are'} not", by_severity(worst))
    line += paint(f" · {daemon['name']}, pid {daemon['pid']}, up {duration(daemon['uptime_s'])}", "dim")
    if daemon["closing"]:
        line += paint(" · shutting down", "bold yellow")
    if daemon["host_starved"]:
        line += paint(" · the host is overloaded: silence may not mean a hang", "bold yellow")
    problems = [part for problem in daemon["problems"] for part in f"! {problem}".splitlines()]
    return [
        line,
        *(paint(f"~ {printable(text)}", "yellow") for text in deviation_lines(daemon)),
        *(paint(printable(text), "cyan") for text in under_way(status)),
        *(paint(printable(text), "bold red") for text in problems),
    ]
