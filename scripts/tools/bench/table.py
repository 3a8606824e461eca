"""The table that the bench prints, and the same as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from scripts.tools.bench.figures import OURS, Goal, Row, Verdict, best, judge, median, ratio

STYLE = {Verdict.REACHED: "green", Verdict.SHORT: "bold red", Verdict.UNKNOWN: "yellow", Verdict.NO_GOAL: ""}
QUIET_LOAD = 0.5
NOTES = (
    "Medians, all in this run, with one static C victim; figures count what the victims themselves report.",
    "CPU is from schedstat, summed over all processes and threads of a system; memory is the sum of their PSS.",
    "No backoff anywhere.  supervisord: startsecs = 0; circus: check_delay = 0.1; monit: a cycle of 1 s, its shortest;",
    "s6 and runit: a second between two starts, by design.",
    "Capture: no system compresses (ours is set to compress = false); pm2 has no rotation of its own, the others",
    "rotate at 50 MB.  The bench's figure ends when the files hold every byte.  Loops are floors, not peers.",
)

Samples = Mapping[str, Mapping[str, Sequence[float]]]  # row key → system → samples


def medians_of(samples: Samples, key: str) -> dict[str, float]:
    found = {system: median(values) for system, values in samples.get(key, {}).items()}
    return {system: value for system, value in found.items() if value is not None}


def compared_with(row: Row, medians: Mapping[str, float], others: Sequence[str]) -> dict[str, float]:
    """The figures that a goal is about: those of the peers, and of a floor that the goal names.

    `others`: the systems that are no peers, floors and earlier builds."""
    named = row.goal.peer if row.goal is not None else None
    return {system: v for system, v in medians.items() if system != OURS and (system not in others or system == named)}


def render(
    console: Console,
    rows: Sequence[Row],
    samples: Samples,
    systems: Sequence[str],
    floors: Sequence[str],
    absent: Mapping[str, str],
    load: float,
) -> None:
    """Print the table. `load` is the load average from before the run, when nothing should have been running."""
    table = Table(title="How fast and how small", title_justify="left", header_style="bold", pad_edge=False)
    table.add_column("figure", no_wrap=True)
    table.add_column("unit", style="dim")
    for system in systems:
        table.add_column(system, justify="right", no_wrap=True, style="dim" if system in floors else "")
    table.add_column("goal", no_wrap=True)
    table.add_column("ours/best", justify="right", no_wrap=True)
    table.add_column("")
    for row in rows:
        table.add_row(*_cells(row, medians_of(samples, row.key), systems, floors))
    console.print(table)
    for note in NOTES:
        console.print(note, style="dim", highlight=False)
    if load > QUIET_LOAD:
        console.print(f"The machine was busy (load {load:.1f}): figures are too high.", style="bold yellow")
    for system, reason in absent.items():
        console.print(f"Left out: {system}: {reason}", style="yellow", highlight=False)


def _cells(row: Row, medians: Mapping[str, float], systems: Sequence[str], floors: Sequence[str]) -> list[str | Text]:
    ours = medians.get(OURS)
    peers = compared_with(row, medians, floors)
    verdict = judge(row, ours, peers)
    figures: list[str | Text] = [
        Text(_figure(row, medians.get(system)), style=STYLE[verdict] if system == OURS else "") for system in systems
    ]
    best_peer = best(peers, higher_is_better=row.higher_is_better)
    against = ratio(ours, best_peer[1]) if ours is not None and best_peer is not None else None
    compared = "" if against is None or best_peer is None else f"{against:.2f} {best_peer[0]}"
    goal = _goal(row, peers)
    return [row.title, row.unit, *figures, goal, compared, Text(verdict.value, style=STYLE[verdict])]


def _figure(row: Row, value: float | None) -> str:
    return "—" if value is None else f"{value:.{row.digits}f}"


def _goal(row: Row, peers: Mapping[str, float]) -> str:
    goal: Goal | None = row.goal
    if goal is None:
        return ""
    bound = goal.bound(peers, higher_is_better=row.higher_is_better)
    sign = {(False, False): "≤", (False, True): "<", (True, False): "≥", (True, True): ">"}[
        row.higher_is_better, goal.strict
    ]
    if bound is None:
        return f"{sign} {goal.peer or 'every peer'}"
    return f"{sign} {bound:g}" if bound == goal.limit else f"{sign} {_figure(row, bound)}"


def goal_text(row: Row) -> str:
    """The goal as it is set: a limit, or a share of the figure of another system."""
    goal = row.goal
    if goal is None:
        return ""
    sign = "≥" if row.higher_is_better else "<" if goal.strict else "≤"
    if goal.limit == 0.0:
        return "0"
    if goal.peer is not None:
        return f"{sign} {goal.peer}" if goal.factor == 1.0 else f"{sign} {goal.factor:g} × {goal.peer}"
    return f"{sign} every peer" if goal.limit is None else f"{sign} {goal.limit:g}"


def as_json(
    rows: Sequence[Row],
    samples: Samples,
    versions: Mapping[str, str],
    floors: Sequence[str],
    absent: Mapping[str, str],
    machine: Mapping[str, Any],
    builds: Sequence[str] = (),
) -> dict[str, Any]:
    """What was measured.  `floors`: the systems that are no peers; `builds`: those of them that are earlier builds."""
    out: dict[str, Any] = {"machine": dict(machine), "versions": dict(versions), "absent": dict(absent)}
    out |= {"builds": list(builds), "rows": {}}
    for row in rows:
        medians = medians_of(samples, row.key)
        peers = compared_with(row, medians, floors)
        nearest = best(peers, higher_is_better=row.higher_is_better)
        named = row.goal.peer if row.goal is not None and row.goal.peer in peers else None
        out["rows"][row.key] = {
            "title": row.title,
            "unit": row.unit,
            "goal": goal_text(row),
            "compared": named or (nearest[0] if nearest is not None else None),
            "verdict": judge(row, medians.get(OURS), peers).name.lower(),
            "systems": {
                system: {"median": medians[system], "samples": list(values)}
                for system, values in samples.get(row.key, {}).items()
                if system in medians
            },
        }
    return out
