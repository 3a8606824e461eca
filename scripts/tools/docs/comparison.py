"""`scripts/comparison`: compares the detectors, and writes the results into the documentation."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from supervisor.detectorlab.compareplot import draw
from supervisor.detectorlab.comparetext import short, summary

PAGE, SHORT = Path("docs/comparison.md"), Path("docs/benchmarks.md")
PICTURE = Path("docs/img/comparison.svg")
BEGIN, END = "<!-- comparison: scripts/comparison -->", "<!-- end of comparison -->"


def main() -> int:
    if sys.argv[1:2] == ["--redraw"]:
        draw(json.loads(Path(sys.argv[2]).read_text()), PICTURE)
        return 0
    began = time.monotonic()
    command = [sys.executable, "-m", "supervisor", "detectors", "compare", *sys.argv[1:]]
    answer = subprocess.run([*command, "--json"], stdout=subprocess.PIPE, check=False)
    if answer.returncode:
        return answer.returncode
    found = json.loads(answer.stdout)
    took = time.monotonic() - began
    draw(found, PICTURE)
    about = "\n".join(f"- **{s['name']}**: {s['about']}" for s in found["scenarios"])
    made = f"Made on {datetime.now(UTC):%Y-%m-%d} in {took / 60:.1f} minutes with Python {platform.python_version()}."
    _write(PAGE, f"{made} " + "\n".join(summary(found, markdown=True)) + f"\n\nThe scenarios:\n\n{about}")
    _write(SHORT, f"{made}\n\n" + "\n".join(short(found)))
    return 0


def _write(path: Path, text: str) -> None:
    """Write `text` between the marks that the file has for it."""
    whole = path.read_text()
    head, rest = whole.split(BEGIN)
    path.write_text(f"{head}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    sys.exit(main())
