"""Runs the dashboard headless against the fake daemon."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from textual.pilot import Pilot

from supervisor.dashboard.app import Dashboard
from supervisor.dashboard.dialogs import Page, Question
from supervisor.dashboard.lineview import LineView
from supervisor.dashboard.overview import Overview
from supervisor.dashboard.row_status import Row
from supervisor.dashboard.spans import plain
from tests.doubles.fake_client import FakeClient, status

PATIENCE = 60.0


class Stage:
    """What a test of the dashboard works with."""

    def __init__(self, app: Dashboard, client: FakeClient, pilot: Pilot[Any]) -> None:
        self.app, self.client, self.pilot = app, client, pilot

    @property
    def overview(self) -> Overview:
        return self.app.overview

    async def until(self, condition: Callable[[], object], what: str = "") -> None:
        """Let the app work until it is so."""
        give_up = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < give_up, f"waited in vain for {what or condition}\n{self.screen()}"
            await self.pilot.pause()

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def type(self, text: str) -> None:
        await self.press(*(c if c.isalnum() else {"@": "at", " ": "space", "!": "exclamation_mark"}[c] for c in text))

    async def say(self, **more: Any) -> None:
        """A status, and wait until it has been taken."""
        sent = status(self.client.rows, **more)
        self.client.say("status", sent)
        await self.until(lambda: self.app.model.status is sent, "the status to be taken")
        await self.until(lambda: not self.overview._draw_due, "the drawing")
        await self.pilot.pause()

    def at(self, name: str) -> None:
        """Put the cursor on an instance, or with `web@` on a service."""
        self.overview.table.go_to(self.rows().index(name))

    def shown(self, which: str) -> str:
        """The text of a pane, whether scrolled into view or not."""
        view = self.app.screen.query_one(f"#{which}", LineView)
        return "\n".join(plain(line) for line in map(view.line_at, range(view.virtual_size.height)))

    def rows(self) -> list[str]:
        """All rows from the top: `web@` is the row of a service, `web@1` one of its instances."""
        return [row.key for row in self.overview.table.rows]

    def names(self) -> list[str]:
        """The instances that have a row, from the top."""
        return [row.name for row in self.overview.table.rows if row.service is None]

    def screen(self) -> str:
        """What stands on the terminal now."""
        size = self.app.size
        lines = []
        for y in range(size.height):
            strips = self.app.screen._compositor.render_strips()
            lines.append(strips[y].text if y < len(strips) else "")
        return "\n".join(lines)

    async def question(self) -> Question:
        await self.until(lambda: isinstance(self.app.screen, Question), "a question")
        await self.pilot.pause()
        assert isinstance(self.app.screen, Question)
        return self.app.screen

    async def page(self) -> Page:
        await self.until(lambda: isinstance(self.app.screen, Page), "a page")
        await self.pilot.pause()
        assert isinstance(self.app.screen, Page)
        return self.app.screen

    async def posted(self, number: int = 1) -> list[tuple[str, Any]]:
        await self.until(lambda: len(self.client.posted) >= number, "a request to the daemon")
        return self.client.posted


def standing_for(rows: Sequence[Row]) -> set[str]:
    """The instances that the rows show, each by itself or folded."""
    return {name for row in rows for name in row.instances}


def play(
    scene: Callable[[Stage], Awaitable[None]],
    *,
    size: tuple[int, int] = (120, 40),
    rows: Sequence[Any] | None = None,
    owns_daemon: bool = False,
) -> Dashboard:
    """One scene, with a first status already on the screen."""
    client = FakeClient(rows)
    app = Dashboard(client, owns_daemon=owns_daemon)
    app.model.live_for = 3600.0  # the fake daemon sends a status when a test says so

    async def run() -> None:
        async with app.run_test(size=size, notifications=True) as pilot:
            stage = Stage(app, client, pilot)
            await stage.say()
            await stage.until(lambda: app.model.history.events, "the events")
            await stage.until(
                lambda: standing_for(stage.overview.table.rows) == {v["name"] for v in client.rows}, "rows"
            )
            await scene(stage)

    asyncio.run(run())
    return app
