"""Takes the pictures of the web view in docs/img, in chromium, on the worked example while something happens there.

The example runs in a temporary place.  `scripts/browser` installs what this needs.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from typing import Any

from scripts.tools.docs.screenshots import PICTURES, ROOT, wait_for
from supervisor.client import Client
from supervisor.demo.project import laid_out

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

    with laid_out() as project:
        file, with_orders = project.file, "web = true\nweb_actions = true\n"
        file.write_text(file.read_text().replace("web = true\n", with_orders, 1))
        command = [sys.executable, "-m", "supervisor", "run", "-f", str(file)]
        daemon = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            client = Client(f"{file.parent}/run/control.sock")
            wait_for(client, daemon)
            time.sleep(HISTORY)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
                for name, scheme, width, height, path in SHOTS:
                    options = {"color_scheme": scheme, "viewport": {"width": width, "height": height}}
                    _take(browser, name, options, f"{project.page.rstrip('/')}{path}", client)
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
