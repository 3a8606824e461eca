"""The secrets of a service appear in nothing that the supervisor writes, prints or serves."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from tests.e2e.conftest import Daemon

Start = Callable[..., Daemon]
SECRETS = (
    "env-5ecret-a",
    "file-5ecret-b",
    "hook-5ecret-c",
    "word-5ecret-d",
    "url-5ecret-e",
    "flag-5ecret-f",
    "host-5ecret-g",
    "glued-5ecret-h",
    "header-5ecret-i",
    "user-5ecret-j",
    "shell-5ecret-k",
    "query-5ecret-l",
    "json-5ecret-m",
    "key-5ecret-n",
    "probe-5ecret-o",
)
WORKER = """
import os, socket, sys, time
assert os.environ["DB_PASSWORD"] == "env-5ecret-a" and os.environ["API_KEY"] == "file-5ecret-b"
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
    sock.connect(os.environ["NOTIFY_SOCKET"])
    for _ in range(5):
        sock.send(b"WATCHDOG=1")
        time.sleep(0.05)
print("hanging", flush=True)
time.sleep(1000)
"""


def test_no_secret_leaves_the_service(daemon: Start, tmp_path: Path) -> None:
    (tmp_path / "worker.py").write_text(WORKER)
    (tmp_path / "env").write_text("API_KEY=file-5ecret-b\n")
    one = daemon("", start=False)
    one.write(
        f"""
[services.worker]
command = ["{sys.executable}", "{tmp_path}/worker.py", "--password", "word-5ecret-d", "--token=flag-5ecret-f",
           "postgres://app:url-5ecret-e@db/x", "-pglued-5ecret-h", "-H", "Authorization: Bearer header-5ecret-i",
           "-u", "admin:user-5ecret-j", "exec app --pass shell-5ecret-k", "https://h/x?api_key=query-5ecret-l",
           '{{"token": "json-5ecret-m"}}', "--access-key", "key-5ecret-n"]
ready = {{ exec = ["true", "--auth", "probe-5ecret-o"] }}
environment = {{ DB_PASSWORD = "env-5ecret-a" }}
environment_file = "{tmp_path}/env"
heartbeat = {{ interval = "50ms", min_timeout = "300ms", max_timeout = "1s" }}
restart.initial = "10ms"
[[services.worker.hooks]]
on = ["failed"]
notify = "json://user:hook-5ecret-c@127.0.0.1:9/"
"""
    )
    one.start(prefix=["env", "OPS_TOKEN=host-5ecret-g"])
    one.event("worker", "suspect", "heartbeat-silent")
    one.event("worker", "running", "ready")
    served = {f"{path} served": str(one.client.get(path)) for path in ("/v1/services", "/v1/instances/worker")}
    assert all("worker.py" in text for text in served.values())
    one.write(
        f"""
[services.worker]
command = ["{sys.executable}", "{tmp_path}/worker.py"]
environment = {{ DB_PASSWORD = "env-5ecret-a", OTHER = "x" }}
environment_file = "{tmp_path}/env"
"""
    )
    assert one.cli("reload").returncode == 0
    event = one.client.get("/v1/events", limit=1000)["events"]
    suspected = next(e for e in event if e["cause"] == "heartbeat-silent" and e["to"] == "stopping")
    assert one.process is not None
    shown = served | {
        "why": one.cli("why", "worker").stdout,
        "events": one.cli("events", "--json").stdout,
        "status": one.cli("status", "--json").stdout,
        "report": one.cli("report", "--json").stdout,
        "check": one.cli("check").stdout,
        "evidence": str(one.client.get(f"/v1/evidence/{suspected['id']}")),
        "log": str(one.lines),
        "ps": Path(f"/proc/{one.process.pid}/cmdline").read_text(),
    }
    one.stop()
    for path in one.state_dir.rglob("*"):
        if path.is_file():
            assert path.stat().st_mode & 0o027 == 0, f"{path} is for others to read"
            shown[str(path)] = path.read_bytes().decode("latin-1")
    found = {(where, secret) for where, text in shown.items() for secret in SECRETS if secret in text}
    assert not found
    assert "worker.py" in shown["evidence"]  # it is there, and only the secrets are not
    kept = [path for path in one.runtime_dir.rglob("*") if path.is_file()]
    assert [path for path in kept if path.stat().st_mode & 0o077] == []
