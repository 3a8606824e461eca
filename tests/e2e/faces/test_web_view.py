"""The web view of a real daemon, read without JavaScript: the services, and why one of them hung."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode

from scripts.tools.bench.ports import free_port
from tests.e2e.conftest import PATIENCE, Daemon

HANGS = """
import os, socket, time
def say(text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.connect(os.environ["NOTIFY_SOCKET"]); s.send(text)
def work():
    time.sleep(1000)
print("<b>last words</b>", flush=True)
say(b"READY=1")
say(b"WATCHDOG=1")
work()
"""


def test_the_services_and_an_incident(daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    port = free_port()
    program = tmp_path / "hangs.py"
    program.write_text(HANGS)
    d = daemon(f"""
[supervisor.http]
listen = "127.0.0.1:{port}"
web = true

[services.steady]
command = ["sleep", "1000"]

[services.worker]
command = ["{sys.executable}", "{program}"]
ready.notify = true
heartbeat = {{ source = "notify", interval = "200ms", min_timeout = "500ms", max_timeout = "1s" }}
stop_timeout = "1s"
restart = {{ initial = "600s", maximum = "600s" }}
""")
    d.event("worker", "backoff")

    def page(path: str) -> str:
        connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        connection.request("GET", path)
        answer = connection.getresponse()
        assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
        return answer.read().decode()

    services = page("/")
    assert "1 of 2 wanted instances ready" in services
    assert "↻ backoff" in services and "● running" in services
    assert re.search(r"no heartbeat; next try in \d+m", services)
    (number,) = re.findall(r'href="/incident/(\d+)"', services)
    incident = page(f"/incident/{number}")
    assert "What was seen" in incident and "no heartbeat for" in incident
    assert "What was captured" in incident
    assert "&lt;b&gt;last words&lt;/b&gt;" in incident and "<b>" not in incident
    assert f'href="/incident/{number}"' in page("/service/worker")

    d.signal(signal.SIGKILL)
    d.wait()
    d.start()
    assert "What was captured" in page(f"/incident/{number}"), "the link outlives the daemon"

    told = d.cli("web", "--json")
    assert json.loads(told.stdout) == {"on": True, "url": f"http://127.0.0.1:{port}/", "daemon": True, "actions": False}
    d.cli("down")
    assert d.wait() == 0
    assert "(off: no daemon runs" in d.cli("web").stdout
    d.file.write_text(d.file.read_text().replace("web = true\n", ""))
    off = d.cli("web").stdout
    assert off.startswith("The web view is off.")
    assert f'[supervisor.http]\nlisten = "127.0.0.1:{port}"\nweb = true\n' in off


def test_an_order_is_given_with_the_token_and_recorded_with_its_giver(daemon: Callable[..., Daemon]) -> None:
    port = free_port()
    d = daemon(f"""
[supervisor.http]
listen = "127.0.0.1:{port}"
web = true
web_actions = true

[services.steady]
command = ["sleep", "1000"]
""")
    d.event("steady", "running")
    file = d.runtime_dir / "web.token"
    token = d.cli("web", "--token").stdout.strip()
    assert token == file.read_text().strip()
    assert file.stat().st_mode & 0o777 == 0o600
    assert "takes orders" in d.cli("web").stdout

    def order(**fields: str) -> tuple[int, str]:
        connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        connection.request(
            "POST",
            "/web/order",
            urlencode({"name": "steady", **fields}),
            {"Origin": f"http://127.0.0.1:{port}", "Content-Type": "application/x-www-form-urlencoded"},
        )
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    assert order(order="stop", token="x" * 43)[0] == 403
    status, page = order(order="stop", token=token, sure="yes")
    assert (status, "It is for steady." in page) == (202, True)
    d.event("steady", "stopped")
    (stopped,) = [one for one in d.client.events() if one["cause"] == "stopped-by-user"]
    assert stopped["detail"]["by"]["uid"] == os.geteuid()
    assert stopped["detail"]["by"]["web"].startswith("127.0.0.1:")
    assert "on the web view from 127.0.0.1:" in d.cli("events").stdout

    file.unlink()
    d.problem("web.token was removed")
    d.cli("upgrade")
    assert d.cli("web", "--token").stdout.strip() == token, "an upgrade keeps it"
    d.cli("down")
    assert d.wait() == 0
    refused = d.cli("web", "--token")
    assert (refused.returncode, refused.stdout) == (5, "")
