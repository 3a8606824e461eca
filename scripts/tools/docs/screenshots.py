"""Takes a screenshot of each layout of the dashboard, on the worked example while something happens there.

The example runs in a temporary place, and the dashboard without a terminal.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from scripts.tools.docs.compact_screenshot import compact
from supervisor.client import Client
from supervisor.dashboard.app import Dashboard
from supervisor.dashboard.row_status import reason
from supervisor.demo.project import laid_out

ROOT = Path(__file__).parents[3]
PICTURES = ROOT / "docs" / "img"
HISTORY = 75.0
"""Seconds to wait first, so that sparklines and histograms have something to show."""

Scene = Callable[[Dashboard], bool]


def states(app: Dashboard) -> dict[str, str]:
    return {view["name"]: view["state"] for view in app.model.views}


def moody_is_being_healed(app: Dashboard) -> bool:
    """It hung, the line is known, and it waits for its next try."""
    waits = states(app).get("moody") == "backoff"
    return waits and any(row.name == "moody" and "hangs at" in reason(row).text for row in app.overview.table.rows)


SHOTS: tuple[tuple[str, tuple[int, int], str, Scene], ...] = (
    ("dashboard", (120, 40), "moody", moody_is_being_healed),
    ("dashboard-small", (80, 24), "moody", moody_is_being_healed),
    ("dashboard-large", (200, 60), "moody", moody_is_being_healed),
)


async def take_pictures(client: Client) -> None:
    app = Dashboard(client)
    async with app.run_test(size=SHOTS[0][1]) as pilot:
        app.theme = "phi"
        await pilot.pause(HISTORY)
        for name, size, cursor, scene in SHOTS:
            await pilot.resize_terminal(*size)
            await _until(pilot, partial(_is_there, app, cursor))
            table = app.overview.table
            table.go_to([row.name for row in table.rows].index(cursor))
            await pilot.pause(2.0)
            await _until(pilot, partial(scene, app))
            await pilot.pause(0.2)
            picture = PICTURES / f"{name}.svg"
            picture.write_text(compact(app.export_screenshot(title="supervisor top")))
            print(picture.relative_to(ROOT))


def _is_there(app: Dashboard, name: str) -> bool:
    return name in states(app)


async def _until(pilot: Pilot[Any], condition: Callable[[], bool], seconds: float = 90.0) -> None:
    for _ in range(int(seconds / 0.1)):
        if condition():
            return
        await pilot.pause(0.1)
    raise SystemExit("what was to be photographed did not come about")


def main() -> int:
    PICTURES.mkdir(parents=True, exist_ok=True)
    with laid_out() as project:
        daemon = subprocess.Popen(
            [sys.executable, "-m", "supervisor", "run", "-f", str(project.file)], stderr=subprocess.DEVNULL
        )
        try:
            client = Client(str(project.file.parent / "run/control.sock"))
            wait_for(client, daemon)
            asyncio.run(take_pictures(client))
        finally:
            daemon.terminate()
            daemon.wait()
    return 0


def wait_for(client: Client, daemon: subprocess.Popen[bytes]) -> None:
    with client.stream(["status"], reconnect=True) as stream:
        for kind, _ in stream:
            if kind == "status":
                return
            if daemon.poll() is not None:
                raise SystemExit("the daemon did not start; try `supervisor run`")


if __name__ == "__main__":
    sys.exit(main())
