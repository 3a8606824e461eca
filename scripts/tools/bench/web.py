"""Measures the web view in chromium: 200 instances, first paint, a change on the screen, and what it costs the daemon.

The load of the machine stands beside the figures: a browser shares its cores with everything else that runs.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from scripts.tools.bench import proc
from scripts.tools.bench.ports import free_port
from supervisor.client import Client
from supervisor.errors import NoDaemon

SINGLE, SEVERAL, REPLICAS = 100, 10, 10
READY_SECONDS = 120.0
LISTEN = """
[supervisor]
name = "bench-web"
runtime_dir = "{0}/run"
state_dir = "{0}/state"
[supervisor.http]
listen = "127.0.0.1:{1}"
web = true
web_actions = true
[defaults]
command = ["sleep", "100000"]
restart = {{ initial = "3s", jitter = 0.0 }}
"""
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
ARM = """name => {
  const text = () => document.querySelector(`[data-key="${name}"] [data-field=state]`)?.textContent;
  const before = text();
  window.seen = new Promise(done => {
    const observer = new MutationObserver(() => {
      if (text() === before) return;
      observer.disconnect();
      requestAnimationFrame(() => setTimeout(() => done(performance.timeOrigin + performance.now())));
    });
    observer.observe(document.body, {childList: true, subtree: true, characterData: true});
  });
}"""


def main(quick: bool) -> int:
    """Measure, and print one line for each figure."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        print("Playwright is not installed: scripts/browser does that", file=sys.stderr)
        return 0
    chromium = shutil.which("chromium")
    if chromium is None:
        print("chromium is not installed: scripts/browser does that on Debian", file=sys.stderr)
        return 0
    rounds, seconds = (5, 10.0) if quick else (20, 60.0)
    with tempfile.TemporaryDirectory(prefix="bench-web-") as place:
        port = free_port()
        services = [f"[services.s{number}]\n" for number in range(SINGLE)]
        services += [f"[services.w{number}]\nreplicas = {REPLICAS}\n" for number in range(SEVERAL)]
        file = Path(place, "services.toml")
        file.write_text(LISTEN.format(place, port) + "".join(services))
        command = [sys.executable, "-m", "supervisor", "run", "-f", str(file)]
        daemon = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            client = Client(f"{place}/run/control.sock")
            _ready(client)
            url = f"http://127.0.0.1:{port}/"
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
                page = browser.new_page(viewport={"width": 1440, "height": 900})
                paints = [_paint(page, url) for _ in range(rounds)]
                _tell("first paint, ms", paints)
                changes = [_change(page, client, f"s{number}") for number in range(rounds)]
                _tell("a killed process is on the screen, ms", changes)
                time.sleep(5.0)  # the restarts are over
                _tell("one page open, % of a core", [_cost(daemon.pid, seconds)])
                page.goto("about:blank")
                time.sleep(2.0)
                _tell("closed, % of a core", [_cost(daemon.pid, seconds)])
                browser.close()
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait()
    return 0


def _ready(client: Client) -> None:
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until:
        try:
            rows = client.status()["instances"]
        except NoDaemon:
            rows = []
        if rows and all(row["ready"] for row in rows):
            return
        time.sleep(0.2)
    raise SystemExit("the services did not become ready")


def _paint(page: Any, url: str) -> float:
    """Milliseconds from the navigation to the first contentful paint, which is that of the table."""
    page.goto(url)
    page.wait_for_selector("tbody tr")
    time.sleep(0.5)
    return float(page.evaluate(PAINTED))


def _change(page: Any, client: Client, name: str) -> float:
    """Milliseconds from the kill of a process to the frame in which the page says so."""
    time.sleep(0.7)
    page.evaluate(ARM, name)
    pid = client.status([name])["instances"][0]["pid"]
    assert pid is not None
    time.sleep(0.3)
    began = time.time()
    os.kill(pid, signal.SIGKILL)
    return float(page.evaluate("window.seen")) - began * 1000


def _cost(pid: int, seconds: float) -> float:
    before, began = proc.usage([pid]).cpu_ns, time.monotonic()
    time.sleep(seconds)
    return (proc.usage([pid]).cpu_ns - before) / (time.monotonic() - began) / 1e7


def _tell(what: str, found: list[float]) -> None:
    spread = f" ({min(found):.2f} to {max(found):.2f}, {len(found)} times)" if len(found) > 1 else ""
    print(f"{what}: {median(found):.2f}{spread}; load {os.getloadavg()[0]:.1f}", flush=True)
