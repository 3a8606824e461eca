"""Makes the page of `report --html`: one file with its pictures and its style in it, which asks for nothing outside.

It is for readers who do not know the program: sentences first, then pictures, then tables. Text from outside (names,
causes) is escaped in one place, `text` of markup.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from supervisor.core.model.causes import Cause
from supervisor.core.text.causes import phrase
from supervisor.core.text.timestamps import from_iso, local
from supervisor.core.text.units import NOTHING, brief, percent, span
from supervisor.display.markup import text
from supervisor.display.numbers import count
from supervisor.display.report_style import STYLE
from supervisor.display.strip_picture import short_moment, strip_picture

if TYPE_CHECKING:
    from supervisor.core.history.strips import Cell
    from supervisor.core.model.instance_documents import Instance
    from supervisor.core.model.story_documents import Figures, Report, ServiceFigures

COLUMNS = 180
"""Cells of a strip."""
SHOWN = 40
"""Services that are shown at once, those with most trouble first; the others are folded."""

_RATIOS = (
    ("R", "Replication", "replication", "Of the instances that should be ready now, {} are."),
    ("C", "Consistency", "consistency", "Of the instances that run now, {} run the configuration in force."),
    ("L", "Load", "load", "Each instance was sent {} requests by the balancer, on average."),
    ("F", "Faults", "fault_ratio", "There were {} failures for each instance in this period."),
    ("", "Recovery", "recovery_ratio", "Of all failures, {} were mended without action of a user."),
)
_UNKNOWN = {
    "replication": "Not known: no daemon runs, or no instance is wanted.",
    "consistency": "Not known: nothing runs now.",
    "load": "Not measured: no service has a balancer in front.",
    "fault_ratio": "Not known: there was no instance.",
    "recovery_ratio": "There was no failure.",
}
_PLAIN: dict[str, str] = {
    Cause.EXITED: "the process ended with an error",
    Cause.KILLED: "the process crashed or was killed",
    Cause.EXIT_UNKNOWN: "the process ended, it is not known how",
    Cause.SPAWN_FAILED: "it could not be started",
    Cause.START_TIMEOUT: "it did not become ready in time",
    Cause.SILENT: "it hung: no sign of life",
    Cause.TRIGGERED: "it reported that it hangs",
    Cause.MEMORY_LIMIT: "it used too much memory",
    Cause.CPU_LIMIT: "it used too much CPU",
    Cause.TASKS_LIMIT: "it had too many processes or threads",
}
"""The causes of failures in words that need no knowledge of the program."""
_TRIAL = {Cause.BREAKER_TRIAL: "a trial after a pause"}
"""What else makes the supervisor restart something."""


def page(name: str, figures: Report, strips: Mapping[str, Sequence[Cell]], instances: Sequence[Instance] = ()) -> str:
    """The whole page. `name`: of the daemon; `strips`: the cells of each service over the period; `instances`: the rows
    of the status, where a daemon runs."""
    accounts = sorted(figures["services"], key=_trouble)
    recorded = bool(figures["total"]["instances"])
    title = f"Availability of {name}" if name else "Availability"
    parts = [
        _header(title, figures),
        _cards(figures["total"]) if recorded else "",
        _availability(figures, accounts, strips),
        _failures(figures["total"]),
        _restarts(figures["total"]),
        _detection(figures["total"]),
        _slots(instances),
        _services(accounts),
        _ratios(figures["total"]) if recorded else "",
        _footer(),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{text(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(part for part in parts if part)
        + "\n</main>\n</body>\n</html>\n"
    )


def _trouble(account: ServiceFigures) -> tuple[float, int, str]:
    """Sorts services: the least available first, then those with most failures."""
    known = account["availability"]
    return (2.0 if known is None else known), -account["failures"], account["service"]


# -- the parts -------------------------------------------------------------------------------------------------------


def _header(title: str, figures: Report) -> str:
    said = _sentences(figures["total"], len(figures["services"]))
    period = f"{_moment(figures['since'])} to {_moment(figures['until'])} ({span(figures['seconds'])})"
    return f"<header>\n<h1>{text(title)}</h1>\n<p class=period>{text(period)}</p>\n<p class=lead>{said}</p>\n</header>"


def _sentences(total: Figures, services: int) -> str:
    """What happened, in a few plain sentences."""
    if not total["instances"]:
        return "Nothing is recorded in this period: no service was supervised, or its records are older."
    have = f"{count(services, 'service')} with {count(total['instances'], 'instance')}"
    known = total["availability"]
    share = f"<strong>{text(percent(known))}</strong>"
    said = [
        f"How often {have} were available is not known."
        if known is None
        else f"{have} were available for {share} of the time in which they were wanted."
    ]
    said.append(_mended(total["failures"], total["recovered"]))
    if total["longest_outage_s"] is not None:
        said.append(f"The longest interruption that is over took {text(brief(total['longest_outage_s']))}.")
    ready = total["replication"]
    if ready is not None and ready < 1.0:
        said.append(f"At the end, only {text(percent(ready))} of the instances that should be ready were.")
    if total["unknown_s"] > 0.01 * (total["wanted_s"] + total["unknown_s"]):
        said.append("For a part of the time nothing is known, because no daemon ran; it is counted for neither side.")
    return " ".join(said)


def _mended(failures: int, recovered: int) -> str:
    end = "mended without action of a user."
    if not failures:
        return "Nothing failed."
    if failures == 1:
        return f"There was one failure, {'' if recovered else 'not '}{end}"
    how_many = "all of them" if recovered == failures else f"{recovered} of them" if recovered else "none of them"
    return f"There were {failures} failures, {how_many} {end}"


def _cards(total: Figures) -> str:
    cards = (
        ("available", percent(total["availability"])),
        ("failures", str(total["failures"])),
        ("mended by itself", percent(total["recovery_ratio"])),
        ("mean time to repair", _time(total["mttr_s"])),
        ("longest interruption", _time(total["longest_outage_s"])),
        ("false alarms", str(total["false_suspicions"])),
    )
    boxes = [f"<div><b>{text(value)}</b><span>{text(label)}</span></div>" for label, value in cards]
    return f"<section class=cards>{''.join(boxes)}</section>"


def _availability(figures: Report, accounts: Sequence[ServiceFigures], strips: Mapping[str, Sequence[Cell]]) -> str:
    if not accounts:
        return ""
    since, until = from_iso(figures["since"]), from_iso(figures["until"])
    middle = (since + until) / 2
    days = until - since > 86_400
    axis = "".join(f"<span>{text(short_moment(at, days))}</span>" for at in (since, middle, until))
    scale = f"<div class=strip><span></span><div class=axis>{axis}</div><span></span></div>"
    rows = [_strip(account, strips.get(account["service"], ()), since, until) for account in accounts]
    legend = (
        "<p class=legend><span><i class=ready></i> ready</span> "
        "<span><i class=down></i> not ready, although wanted</span> "
        "<span><i class=unknown></i> not known</span> <span><i class=idle></i> not wanted</span></p>"
    )
    return (
        f"<section>\n<h2>When each service was available</h2>\n{legend}\n{''.join(rows[:SHOWN])}"
        f"{scale}{_folded(rows[SHOWN:], 'strips')}\n</section>"
    )


def _strip(account: ServiceFigures, cells: Sequence[Cell], since: float, until: float) -> str:
    name = text(account["service"])
    value = percent(account["availability"])
    picture = strip_picture(f"{account['service']}: {value} available", cells, since, until)
    label = f'<span class=name title="{name}">{name}</span>'
    return f"<div class=strip>{label}{picture}<span class=value>{text(value)}</span></div>"


def _failures(total: Figures) -> str:
    causes = total["failures_by_cause"]
    if not causes:
        return ""
    also = [
        count(total["restarts"], "restart") + " decided by the supervisor",
        f"{count(total['breaker_opened'], 'pause')} in which a service that had failed too often was not restarted"
        if total["breaker_opened"]
        else "",
        count(total["false_suspicions"], "false alarm") + " (a silence that turned out to be none)"
        if total["false_suspicions"]
        else "",
        f"{count(total['holds'], 'silent process', 'silent processes')} spared because it could not run"
        if total["holds"]
        else "",
    ]
    notes = f"<p>{text('; '.join(text for text in also if text))}.</p>"
    return f"<section>\n<h2>Why services failed</h2>\n{_by_cause(causes)}\n{notes}\n</section>"


def _restarts(total: Figures) -> str:
    causes = total["restarts_by_cause"]
    if not causes:
        return ""
    said = "How often the supervisor started an instance again, by the failure that made it do so."
    return f"<section>\n<h2>Restarts by cause</h2>\n<p>{said}</p>\n{_by_cause(causes)}\n</section>"


def _by_cause(causes: Mapping[str, int]) -> str:
    words, most = _PLAIN | _TRIAL, max(causes.values())
    rows = [_bar(words.get(cause) or phrase(cause), number / most, f"{number} ×") for cause, number in causes.items()]
    return f"<div class=bars>{''.join(rows)}</div>"


def _detection(total: Figures) -> str:
    known = {
        cause: (found["mean_s"], found["max_s"])
        for cause, found in total["detection_by_cause"].items()
        if found["mean_s"] is not None and found["max_s"] is not None
    }
    if not known:
        return ""
    most = max(longest for _, longest in known.values())
    rows = []
    for cause, (mean, longest) in known.items():
        told = "at once" if longest < 0.001 else f"{_time(mean)} on average, {_time(longest)} at most"
        rows.append(_bar(_PLAIN.get(cause) or phrase(cause), longest / most if most else 0.0, told))
    why = (
        "The longest possible time from a failure until it was noticed: a process that ends is reported by the kernel."
    )
    return (
        f"<section>\n<h2>How quickly failures were noticed</h2>\n<p>{text(why)}</p>\n"
        f"<div class=bars>{''.join(rows)}</div>\n</section>"
    )


def _slots(instances: Sequence[Instance]) -> str:
    """What each instance behind the balancer got, service by service."""
    carried = [(row, found) for row in instances if (found := row.get("balanced")) is not None]
    if not carried:
        return ""
    rows = []
    for _, group in groupby(carried, lambda pair: pair[0]["service"]):
        members = list(group)
        most = max(balanced["requests"] for _, balanced in members)
        for row, balanced in members:
            told = [count(balanced["requests"], "request")]
            if balanced["errors"]:
                told.append(f"{balanced['errors']} failed")
            if balanced["slot"] != "active":
                told.append("takes no more" if balanced["slot"] else "not in service")
            rows.append(_bar(row["name"], balanced["requests"] / most if most else 0.0, ", ".join(told)))
    why = "What the balancer has sent to each instance since the daemon started."
    return (
        f"<section>\n<h2>How requests were spread</h2>\n<p>{text(why)}</p>\n"
        f"<div class=bars>{''.join(rows)}</div>\n</section>"
    )


def _bar(label: str, share: float, value: str) -> str:
    return (
        f'<div class=bar><span>{text(label)}</span><div><i style="width:{100 * share:.1f}%"></i></div>'
        f"<span class=value>{text(value)}</span></div>"
    )


def _services(accounts: Sequence[ServiceFigures]) -> str:
    if not accounts:
        return ""
    head = ("Service", "Available", "Failures", "By itself", "Restarts", "Time to repair", "Longest")
    rows = []
    for account in accounts:
        cells = (
            percent(account["availability"]),
            str(account["failures"]),
            str(account["recovered"]) if account["failures"] else NOTHING,
            str(account["restarts"]),
            _time(account["mttr_s"]),
            _time(account["longest_outage_s"]),
        )
        values = "".join(f"<td>{text(cell)}</td>" for cell in cells)
        rows.append(f"<tr><th scope=row>{text(account['service'])}</th>{values}</tr>")
    top = "".join(f"<th scope=col>{text(title)}</th>" for title in head)
    table = f"<thead><tr>{top}</tr></thead>"
    first = f"<div class=wide><table>{table}<tbody>{''.join(rows[:SHOWN])}</tbody></table></div>"
    rest = [f"<table>{table}<tbody>{''.join(rows[SHOWN:])}</tbody></table>"] if rows[SHOWN:] else []
    return (
        f"<section>\n<h2>The services in figures</h2>\n{first}"
        f"{_folded(rest, 'wide', count(len(rows) - SHOWN, 'more service'))}\n</section>"
    )


def _folded(rows: Sequence[str], kind: str, title: str = "") -> str:
    if not rows:
        return ""
    said = title or count(len(rows), "more service")
    return (
        f"<details><summary>{text(said)}, with less trouble</summary><div class={kind}>{''.join(rows)}</div></details>"
    )


def _ratios(total: Figures) -> str:
    rows = []
    for letter, name, key, sentence in _RATIOS:
        value: float | None = total[key]  # type: ignore[literal-required]
        number = NOTHING if value is None else f"{value:.2f}" if key in ("fault_ratio", "load") else percent(value)
        said = _UNKNOWN[key] if value is None else sentence.format(number)
        label = f"{name} ({letter})" if letter else name
        rows.append(f"<div><dt>{text(label)}<b>{text(number)}</b></dt><dd>{text(said)}</dd></div>")
    return f"<section>\n<h2>Five ratios</h2>\n<dl class=ratios>{''.join(rows)}</dl>\n</section>"


def _footer() -> str:
    return (
        "<footer><p>Available: the time in which instances were ready, of the time in which they were wanted. "
        "Time to repair: from the moment at which a failure was found until the instance was ready again. "
        "Time without a daemon counts for neither side. "
        "Made by <code>supervisor report --html</code> from the records of the daemon.</p></footer>"
    )


# -- text ------------------------------------------------------------------------------------------------------------


def _time(seconds: float | None) -> str:
    return NOTHING if seconds is None else brief(seconds)


def _moment(at: str) -> str:
    return local(at).strftime("%Y-%m-%d %H:%M")
