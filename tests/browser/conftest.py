"""Debian's chromium, driven by Playwright, on pages of a daemon's double.  `scripts/browser` installs both."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor.adapters.control.routes import ControlRoutes
from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.http.order_token import OrderToken
from supervisor.daemon.web.view import WebView
from tests.doubles import fake_client
from tests.doubles.fake_client import beating, view
from tests.doubles.fake_daemon import StandIn
from tests.doubles.serving import Served, serving

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser") or ""
PATIENCE = 60_000.0
"""Milliseconds that the browser may take for anything."""


class Site:
    """A daemon in trouble, behind the real server; it takes orders with `token`."""

    def __init__(self, served: Served, daemon: StandIn, token: str) -> None:
        self.served, self.daemon, self.token = served, daemon, token
        self.url = f"http://127.0.0.1:{served.port}"


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """The browser."""
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="Playwright is not installed: scripts/browser does that"
    )
    if not CHROMIUM:
        pytest.skip("chromium is not installed: scripts/browser does that on Debian")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], timeout=PATIENCE)
        yield browser
        browser.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    rows = [
        view("redis"),
        view("web@1", **beating(0.3)),
        view("web@2", group="back"),
        view("worker@2", "backoff", cause="heartbeat-silent", next_restart_in_s=42.0, group="back"),
        view("mailer", "failed", cause="exited", exit_code=3),
        view("a-service-with-a-name-that-is-longer-than-a-phone-is-wide", "suspect", **beating(9.0)),
    ]
    made: list[StandIn] = []
    file = tmp_path / "web.token"

    def make(loop: EventLoop) -> WebView:
        daemon = StandIn(loop, rows, events=fake_client.events())
        made.append(daemon)
        return WebView("shop", daemon, ControlRoutes(daemon, loop), loop, OrderToken(str(tmp_path)))

    with serving(make, f"{tmp_path}/s") as served:
        yield Site(served, made[0], file.read_text().strip())
        assert served.problems == []


@pytest.fixture(
    params=[("light", 1440), ("dark", 1440), ("light", 390), ("dark", 390)], ids=lambda one: f"{one[0]}-{one[1]}"
)
def page(chromium: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A page in each look and width."""
    scheme, width = request.param
    yield from opened(chromium, color_scheme=scheme, viewport={"width": width, "height": 900})


@pytest.fixture
def wide(chromium: Any) -> Iterator[Any]:
    yield from opened(chromium, viewport={"width": 1440, "height": 900})


@pytest.fixture
def without_script(chromium: Any) -> Iterator[Any]:
    yield from opened(chromium, java_script_enabled=False, viewport={"width": 390, "height": 900})


def opened(browser: Any, **options: Any) -> Iterator[Any]:
    context = browser.new_context(**options)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.said = []
    page.on("console", lambda message: page.said.append(message.text))
    page.on("pageerror", lambda error: page.said.append(str(error)))
    yield page
    context.close()
