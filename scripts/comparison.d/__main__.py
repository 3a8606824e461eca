"""`scripts/comparison`: see there."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from supervisor.detectorlab.compareplot import draw
from supervisor.detectorlab.comparetext import summary

PAGE, PICTURE = Path("docs/comparison.md"), Path("docs/img/comparison.svg")
BEGIN, END = "<!-- comparison: scripts/comparison -->", "<!-- end of comparison -->"


def main() -> int:
    began = time.monotonic()
    command = [sys.executable, "-m", "supervisor", "detectors", "compare", *sys.argv[1:]]
    answer = subprocess.run([*command, "--json"], stdout=subprocess.PIPE, check=False)
    if answer.returncode:
        return answer.returncode
    found = json.loads(answer.stdout)
    took = time.monotonic() - began
    draw(found, PICTURE)
    about = "\n".join(f"- **{s['name']}**: {s['about']}" for s in found["scenarios"])
    said = (
        f"Made on {datetime.now(UTC):%Y-%m-%d} in {took / 60:.1f} minutes with Python {platform.python_version()}. "
        + "\n".join(summary(found, markdown=True))
    )
    text = PAGE.read_text()
    head, rest = text.split(BEGIN)
    PAGE.write_text(f"{head}{BEGIN}\n{said}\n\nThe scenarios:\n\n{about}\n{END}{rest.split(END)[1]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
