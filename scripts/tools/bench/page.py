"""Writes the tables of docs/performance.md."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scripts.tools.bench.figures import OURS
from scripts.tools.bench.rows import ROWS

PAGE = Path(__file__).parents[3] / "docs" / "performance.md"
BEGIN, END = "<!-- bench: scripts/bench -->", "<!-- end of bench -->"
MARKS = {"reached": "yes", "short": "**no**"}
Found = Mapping[str, Any]
"""What one run has measured (table.as_json)."""


def write(runs: Sequence[Found]) -> None:
    """Write the tables between their marks."""
    text = PAGE.read_text()
    pattern = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)
    PAGE.write_text(pattern.sub(lambda _: f"{BEGIN}\n{section(runs)}\n{END}", text))


def section(runs: Sequence[Found]) -> str:
    """Markdown: what was measured, each figure beside its goal, and all systems side by side."""
    rows = _rows(runs)
    versions = {name: version for run in runs for name, version in run["versions"].items()}
    builds = [name for name in versions if any(name in run.get("builds", ()) for run in runs)]
    about = runs[-1]["machine"]
    named = ", ".join(f"{name} {version}" for name, version in versions.items() if name not in builds)
    loads = sorted(run["machine"]["load_before"] for run in runs)
    load = f"{loads[0]:.1f}" if len(loads) == 1 else f"{loads[0]:.1f} to {loads[-1]:.1f}"
    lines = [
        f"`scripts/bench` measured this on {datetime.now(UTC).date().isoformat()} on {about['cpus']} cores with Linux",
        f"{about['kernel'].partition('-')[0]} and Python {about['python']} (load before: {load}), each row in one run:",
        f"{named}.",
        "Medians. What is supervised is one static C program (victim). "
        "Bare Popen, bare splice, bare beats and the shell loop are floors, not peers.",
        "",
        *_goals(rows, builds),
        "",
        "All systems:",
        "",
        *_all(rows, [name for name in versions if name not in builds]),
    ]
    absent = {system: reason for run in runs for system, reason in run["absent"].items() if system not in versions}
    for system, reason in absent.items():
        lines += ["", f"Left out: {system} ({reason})."]
    return "\n".join(lines)


def _rows(runs: Sequence[Found]) -> dict[str, Any]:
    """The rows that were measured, in the order of the bench; the last run that has one counts."""
    found = {key: row for run in runs for key, row in run["rows"].items() if OURS in row["systems"]}
    return {row.key: found[row.key] for row in ROWS if row.key in found}


def _goals(rows: Mapping[str, Any], builds: Sequence[str]) -> list[str]:
    before = ", ".join(f"`{name}`" for name in builds)
    lines = [
        f"| figure | unit | build before ({before}) | this build | peer or floor | goal | reached |",
        "| --- | --- | ---: | ---: | --- | --- | --- |",
    ]
    for row in rows.values():
        systems, other = row["systems"], row["compared"]
        earlier = next((_cell(systems[name]) for name in builds if name in systems), "–")
        beside = f"{other} {_cell(systems[other])}" if other is not None else ""
        cells = [row["title"], row["unit"], earlier, _cell(systems[OURS]), beside, row["goal"]]
        lines.append(f"| {' | '.join(cells)} | {MARKS.get(row['verdict'], '')} |")
    return lines


def _all(rows: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """Those rows that more systems have than this one."""
    lines = [
        "| figure | unit | " + " | ".join(names) + " |",
        "| --- | --- | " + " | ".join("---:" for _ in names) + " |",
    ]
    for row in rows.values():
        if sum(name in row["systems"] for name in names) > 1:
            cells = [_cell(row["systems"].get(name)) for name in names]
            lines.append(f"| {row['title']} | {row['unit']} | {' | '.join(cells)} |")
    return lines


def _cell(measured: Mapping[str, Any] | None) -> str:
    if measured is None:
        return "–"
    value = measured["median"]
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
