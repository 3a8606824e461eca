"""Takes the pictures of the web view in docs/img, in chromium, on the worked example while something happens there.

The example runs in a temporary place.  `scripts/browser` installs what this needs.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from scripts.tools.docs.screenshots import PICTURES, ROOT, free_port, wait_for
from supervisor.client import Client

HISTORY = 75.0
"""Seconds to wait first, so that the strips have something to show."""
LATEST = 90.0
SHOTS = (
    ("web", "light", 1440, 820, "/"),
    ("web-small", "dark", 390, 1000, "/"),
    ("web-orders", "light", 720, 860, "/order/web"),
)


def main() -> int:
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory(prefix="demo-") as place:
        shutil.copytree(ROOT / "examples", Path(place, "examples"))
        port = free_port()
        text = (ROOT / "services.toml").read_text().replace("18080", str(free_port()))
        head = f'[supervisor]\nruntime_dir = "{place}/run"\nstate_dir = "{place}/state"\n'
        http = f'\n[supervisor.http]\nlisten = "127.0.0.1:{port}"\nweb = true\nweb_actions = true\n'
        config = Path(place, "services.toml")
        config.write_text(text.replace("[supervisor]\n", head + 'name = "demo"\n', 1) + http)
        daemon = subprocess.Popen(
            [sys.executable, "-m", "supervisor", "run", "-f", str(config)], stderr=subprocess.DEVNULL
        )
        try:
            client = Client(f"{place}/run/control.sock")
            wait_for(client, daemon)
            time.sleep(HISTORY)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
                for name, scheme, width, height, path in SHOTS:
                    options = {"color_scheme": scheme, "viewport": {"width": width, "height": height}}
                    _take(browser, name, options, f"http://127.0.0.1:{port}{path}", client)
                browser.close()
        finally:
            daemon.terminate()
            daemon.wait()
    return 0


def _take(browser: Any, name: str, options: dict[str, Any], url: str, client: Client) -> None:
    _wait_for_a_hang(client)
    page = browser.new_page(**options)
    page.goto(url)
    time.sleep(1.5)  # the stream has filled in what changed
    picture = PICTURES / f"{name}.png"
    page.screenshot(path=str(picture))
    page.close()
    print(picture.relative_to(ROOT))


def _wait_for_a_hang(client: Client) -> None:
    """Until the service that hangs now and then waits for its next try."""
    until = time.monotonic() + LATEST
    while time.monotonic() < until:
        if client.status(["moody"])["instances"][0]["state"] == "backoff":
            return
        time.sleep(0.1)
    raise SystemExit("what was to be photographed did not come about")


if __name__ == "__main__":
    sys.exit(main())
