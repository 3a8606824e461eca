"""Draws the state diagram of ARCHITECTURE.md from the transitions that the rules make in the transcripts.

Usage: scripts/diagram [--check]      (--check changes nothing; exits 1 if the diagram is out of date)
"""

import re
import sys
from pathlib import Path

from supervisor.core.model.actions import Record, State
from tests.core import transcript

ROOT = Path(__file__).resolve().parents[3]
BEGIN, END = "<!-- diagram: scripts/diagram -->", "<!-- end of diagram -->"


def edges() -> dict[tuple[State, State], list[str]]:
    """Which state followed which, and for which causes, in all transcripts."""
    records: list[Record] = []
    for path in sorted((ROOT / "tests/core/scenarios").glob("*.txt")):
        transcript.play(path.read_text(), records)
    found: dict[tuple[State, State], set[str]] = {}
    for record in records:
        if record.before is not record.after:
            found.setdefault((record.before, record.after), set()).add(record.cause.value)
    return {pair: sorted(causes) for pair, causes in found.items()}


def drawing() -> str:
    order = list(State)
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> stopped"]
    for (before, after), causes in sorted(edges().items(), key=lambda e: (order.index(e[0][0]), order.index(e[0][1]))):
        shown = ", ".join(causes[:3]) + (" …" if len(causes) > 3 else "")
        lines.append(f"    {before.value} --> {after.value}: {shown}")
    return "\n".join([*lines, "```"])


def main() -> int:
    path = ROOT / "ARCHITECTURE.md"
    text = path.read_text()
    pattern = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)
    if not pattern.search(text):
        print(f"{path.name} has no place for it: {BEGIN} … {END}", file=sys.stderr)
        return 1
    new = pattern.sub(f"{BEGIN}\n{drawing()}\n{END}", text)
    if "--check" in sys.argv:
        if new != text:
            print("the diagram is out of date: run scripts/diagram", file=sys.stderr)
        return int(new != text)
    path.write_text(new)
    return 0


if __name__ == "__main__":
    sys.exit(main())
