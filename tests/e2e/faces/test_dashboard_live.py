"""The dashboard, without a terminal, on a real daemon: what a key does, what a hang looks like, and a daemon that
goes away and comes back."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from supervisor.dashboard.app import Dashboard
from supervisor.dashboard.overview import Overview
from supervisor.dashboard.spans import plain
from tests.e2e.conftest import PATIENCE, Daemon
from tests.e2e.hangs.test_story import BEATS

Make = Callable[..., Daemon]
Until = Callable[[Callable[[], object]], Awaitable[None]]


def watch(d: Daemon, scene: Callable[[Overview, Pilot[Any], Until], Awaitable[None]]) -> None:
    app = Dashboard(d.client)

    async def run() -> None:
        async with app.run_test(size=(200, 60), notifications=True) as pilot:

            async def until(condition: Callable[[], object]) -> None:
                give_up = time.monotonic() + PATIENCE
                while not condition():
                    assert time.monotonic() < give_up, app.model.views
                    await pilot.pause()

            await until(lambda: app.overview.table.current)
            await scene(app.overview, pilot, until)

    asyncio.run(run())


def state(overview: Overview, name: str) -> str:
    return next(str(v["state"]) for v in overview.model.views if v["name"] == name)


def text(pane: Any) -> str:
    return "\n".join(plain(pane.line_at(n)) for n in range(pane.virtual_size.height))


def test_keys_reach_the_daemon_and_their_effect_is_seen(daemon: Make) -> None:
    d = daemon("""
[services.talker]
command = ["sh", "-c", "echo one; echo two; exec sleep 1000"]
""")
    d.event("talker", "running")

    async def scene(overview: Overview, pilot: Pilot[Any], until: Until) -> None:
        await until(lambda: "two" in text(overview.log_pane))
        await until(lambda: "sleep 1000" in text(overview.detail))
        await pilot.press("x")
        await until(lambda: overview.app.screen is not overview)  # it asks first
        await pilot.press("y")
        await until(lambda: state(overview, "talker") == "stopped")
        await until(lambda: "stopped by " in text(overview.feed))
        await pilot.press("s")
        await until(lambda: state(overview, "talker") == "running")
        await until(lambda: text(overview.log_pane).count("two") == 2)
        assert text(overview.log_pane).count("one") == 2

    watch(d, scene)


def test_a_hang_and_its_evidence_are_shown(daemon: Make, tmp_path: Path) -> None:
    program = tmp_path / "beats.py"
    program.write_text(BEATS)
    d = daemon(f"""
[services.worker]
command = ["{sys.executable}", "{program}", "20"]
ready = {{ notify = true }}
heartbeat = {{ source = "notify", interval = "50ms", min_timeout = "2s", max_timeout = "5s" }}
restart = {{ initial = "20s", jitter = 0.0 }}
""")

    async def scene(overview: Overview, pilot: Pilot[Any], until: Until) -> None:
        await until(lambda: state(overview, "worker") == "backoff")
        await until(lambda: "next try in" in text(overview.table))
        told = ("hangs at", "waits in", "no heartbeat")  # by what may be read of it here
        await until(lambda: any(words in text(overview.table) for words in told))
        await until(lambda: "attempt 1, after 20s" in text(overview.detail))
        await until(lambda: "notify every 50 ms" in text(overview.detail))
        await pilot.press("v")
        await until(lambda: overview.app.screen is not overview)
        await until(lambda: "hanging now" in text(overview.app.screen.query_one("#page")))

    watch(d, scene)


def test_a_daemon_that_comes_back_is_found_again(daemon: Make) -> None:
    d = daemon("""
[services.sleeper]
command = ["sleep", "1000"]
""")
    d.event("sleeper", "running")

    async def scene(overview: Overview, pilot: Pilot[Any], until: Until) -> None:
        def pid() -> int:
            status = overview.model.status
            return status["supervisor"]["pid"] if status else 0

        before = pid()
        assert d.process is not None
        d.process.kill()
        await until(lambda: not overview.model.live)
        await until(lambda: "no daemon answers" in text(overview.header))
        d.process.wait()
        d.start(wait=False)
        await until(lambda: overview.model.live and pid() != before)
        await until(lambda: "found running" in text(overview.table))

    watch(d, scene)
