"""Writes the table of docs/benchmarks.md."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[3] / "docs" / "benchmarks.md"
BEGIN, END = "<!-- bench: scripts/bench -->", "<!-- end of bench -->"
MARKS = {"reached": "yes", "short": "**no**"}


def write(found: dict[str, Any]) -> None:
    """Write the table between its marks."""
    text = PAGE.read_text()
    pattern = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)
    PAGE.write_text(pattern.sub(lambda _: f"{BEGIN}\n{section(found)}\n{END}", text))


def section(found: dict[str, Any]) -> str:
    """Markdown: what was measured, the table, and the rows that fall short of their goal."""
    about, systems = found["machine"], list(found["versions"])
    short = [row["title"] for row in found["rows"].values() if row["verdict"] == "short"]
    named = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    today = datetime.now(UTC).date().isoformat()
    kernel = about["kernel"].partition("-")[0]
    lines = [
        f"`scripts/bench` measured this on {today}, all in one run, on {about['cpus']} cores with Linux {kernel} and",
        f"Python {about['python']} (load before: {about['load_before']:.1f}): {named}.",
        "Medians, with one static C victim; the loops are floors, not peers.",
        "",
        "| figure | unit | " + " | ".join(systems) + " | goal reached |",
        "| --- | --- | " + " | ".join("---:" for _ in systems) + " | --- |",
    ]
    for row in found["rows"].values():
        cells = [_cell(row["systems"].get(system)) for system in systems]
        lines.append(f"| {row['title']} | {row['unit']} | {' | '.join(cells)} | {MARKS.get(row['verdict'], '')} |")
    if short:
        lines += ["", f"Short of its goal: {'; '.join(short)}."]
    for system, reason in found["absent"].items():
        lines += ["", f"Left out: {system} ({reason})."]
    return "\n".join(lines)


def _cell(measured: dict[str, Any] | None) -> str:
    if measured is None:
        return "–"
    value = measured["median"]
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
