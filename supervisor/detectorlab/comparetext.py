"""The comparison as text: tables for a terminal, or as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from supervisor.detectorlab.comparison import AS_GOOD, OURS

JSON = dict[str, Any]
Row = Sequence[str]


def summary(found: JSON, *, markdown: bool = False) -> Iterator[str]:
    """The results of all scenarios in short."""
    table = _markdown if markdown else _plain
    yield (
        f"{found['beats']:,} beats to tune on, {found['traces']} × {found['beats']:,} others to judge by, "
        f"seed {found['seed']}."
    )
    yield ""
    head = ("scenario", "mean T_D", "best other", "its mistakes", OURS, "ratio")
    yield from table(head, [_line(row) for scenario in found["scenarios"] for row in scenario["rows"]])
    yield ""
    yield from _verdict(found)
    yield ""
    yield from table(("detector", "mistakes in all"), [(n, f"{count:,}") for n, count in found["totals"].items()])
    yield ""
    yield "Peers as they are shipped, on one trace: mean T_D, and mistakes a million beats."
    yield ""
    peers = list(found["scenarios"][0]["shipped"])
    rows = [(s["name"], *(_shipped(s["shipped"][peer]) for peer in peers)) for s in found["scenarios"]]
    yield from table(("scenario", *peers), rows)
    yield from _raised(found)


def short(found: JSON) -> Iterator[str]:
    """One line per scenario, as Markdown."""
    rows = []
    for scenario in found["scenarios"]:
        three = scenario["rows"]
        ratios = " · ".join(f"{row['ratio']:.2f}" + ("!" if row["ratio"] > AS_GOOD else "") for row in three)
        times = " · ".join(f"{row['time_s']:.3g}" for row in three)
        rows.append(
            (scenario["name"], scenario["about"], times, ", ".join(dict.fromkeys(r["best"] for r in three)), ratios)
        )
    yield from _markdown(("scenario", "", "mean T_D, s", "best others", f"{OURS} ÷ best"), rows)
    yield ""
    yield from _verdict(found)
    yield ""
    yield "Mistakes in all: " + ", ".join(f"{name} {count:,}" for name, count in found["totals"].items()) + "."


def details(scenario: JSON, *, markdown: bool = False) -> Iterator[str]:
    """One scenario: every detector at every time."""
    table = _markdown if markdown else _plain
    yield f"{scenario['name']}: {scenario['about']}"
    for k, time in enumerate(scenario["times_s"]):
        yield ""
        yield f"Mean T_D {time:.3g} s:"
        yield ""
        there = {name: points[k] for name, points in scenario["points"].items()}
        ranked = sorted(there, key=lambda n: (there[n] is None, there[n] and there[n]["mistakes"]))
        rows = [_point(name, there[name], scenario["cold"].get(name)) for name in ranked]
        yield from table(("detector", "threshold", "mistakes", "per million", "p99 T_D", "worst T_D", "cold"), rows)
    yield ""
    peers = [(name, *_point(name, point, None)[1:6]) for name, point in scenario["shipped"].items()]
    yield from table(("as shipped", "threshold", "mistakes", "per million", "p99 T_D", "worst T_D"), peers)
    yield ""
    yield "cold: mistakes a thousand first beats, at the middle T_D.  – : cannot have that T_D."


def _verdict(found: JSON) -> Iterator[str]:
    totals = found["totals"]
    if OURS not in totals:
        return
    count = sum(len(s["rows"]) for s in found["scenarios"])
    if not found["losing"]:
        yield f"{OURS} makes at most {AS_GOOD:g} times the mistakes of the best other, in each of {count} rows."
    for row in found["losing"]:
        sure = "" if row["ratio"] - 2.0 * row["error"] > AS_GOOD else " (within two standard errors of as good)"
        yield (
            f"{OURS} loses: {row['scenario']} at {row['time_s']:.3g} s, {row['ratio']:.2f} ± {row['error']:.2f} "
            f"times the mistakes of {row['best']}{sure}."
        )


def _raised(found: JSON) -> Iterator[str]:
    for name in found["scenarios"][0]["shipped"]:
        where = [s["name"] for s in found["scenarios"] if s["shipped"][name]["raised"]]
        if where:
            what = next(s["shipped"][name]["raised"] for s in found["scenarios"] if s["shipped"][name]["raised"])
            yield ""
            yield f"{name} raised {what}, and was of no use from then on, in: {', '.join(where)}."


def _line(row: JSON) -> Row:
    ratio = f"{row['ratio']:.2f} ± {row['error']:.2f}"
    return (
        row["scenario"], f"{row['time_s']:.3g} s", row["best"], f"{row['least']:,}", f"{row['ours']:,}",
        ratio + (" !" if row["ratio"] > AS_GOOD else ""),
    )  # fmt: skip


def _shipped(point: JSON) -> str:
    return f"{point['mean_s']:.3g} s, {_rate(point)}"


def _point(name: str, point: JSON | None, cold: JSON | None) -> Row:
    if point is None:
        return (name, *("–",) * 6)
    first = "" if cold is None else f"{1e3 * cold['mistakes'] / cold['beats']:.1f}"
    return (
        name, f"{point['threshold']:.3g}", f"{point['mistakes']:,}", _rate(point), f"{point['p99_s']:.3g} s",
        f"{point['worst_s']:.3g} s", first,
    )  # fmt: skip


def _rate(point: JSON) -> str:
    """Mistakes per million beats. None among n beats means, with 95 % confidence, a rate below 3/n."""
    if point["mistakes"] == 0:
        return f"< {3e6 / point['beats']:.0f}"
    return f"{1e6 * point['mistakes'] / point['beats']:,.0f}"


def _plain(head: Row, rows: Sequence[Row]) -> Iterator[str]:
    widths = [max(len(row[k]) for row in (head, *rows)) for k in range(len(head))]
    for row in ([name.upper() for name in head], *rows):
        cells = (
            cell.ljust(w) if k == 0 else cell.rjust(w) for k, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(cells).rstrip()


def _markdown(head: Row, rows: Sequence[Row]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "| --- |" + " ---: |" * (len(head) - 1)
    for row in rows:
        yield "| " + " | ".join(row) + " |"
