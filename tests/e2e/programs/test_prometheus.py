"""A real Prometheus scrapes a real daemon, and its alerts fire on real faults.

The test plays the Alertmanager: it waits for the alerts that Prometheus sends, never for time. The rules are those of
docs/monitoring, without their `for`.
"""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import isnan
from pathlib import Path
from typing import Any

import pytest

from scripts.tools.bench.balanced import Clients, balanced_service
from scripts.tools.bench.ports import free_port, free_ports
from scripts.tools.chaos.rollouts import RELEASE
from supervisor.adapters.metrics.families import FAMILIES
from tests.e2e.conftest import ROOT, Daemon
from tests.e2e.hangs.test_probes import until
from tests.e2e.programs.test_real_programs import program

ALERT_WITHIN = 60.0
PROMETHEUS = """
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
rule_files: [rules.yml]
alerting: {{alertmanagers: [{{api_version: v2, static_configs: [{{targets: ["127.0.0.1:{alertmanager}"]}}]}}]}}
scrape_configs:
  - {{job_name: phi, static_configs: [{{targets: ["127.0.0.1:{daemon}"]}}]}}
"""


class Alertmanager:
    """Takes the alerts that Prometheus sends."""

    def __init__(self) -> None:
        alerts: queue.Queue[dict[str, Any]] = queue.Queue()

        class Taker(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                for alert in json.loads(self.rfile.read(int(self.headers["content-length"]))):
                    alerts.put(alert)
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._alerts = alerts
        self._seen: list[dict[str, Any]] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Taker)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def alert(self, name: str, /, **labels: str) -> dict[str, Any]:
        """Wait until there was an alert with this name and these labels."""
        wanted = {"alertname": name, **labels}
        while True:
            for found in self._seen:
                if wanted.items() <= found["labels"].items():
                    return found
            self._seen.append(self._alerts.get(timeout=ALERT_WITHIN))


class Prometheus:
    """A Prometheus of the test's own, and the Alertmanager that it reports to."""

    def __init__(self, directory: Path, daemon_port: int) -> None:
        binary = program("prometheus")
        self.alertmanager = Alertmanager()
        rules = (ROOT / "docs" / "monitoring" / "alerts.yml").read_text()
        (directory / "rules.yml").write_text(re.sub(r"for: \d+[mh]", "for: 0s", rules))
        ports = {"alertmanager": self.alertmanager.port, "daemon": daemon_port}
        (directory / "prometheus.yml").write_text(PROMETHEUS.format(**ports))
        self.port = free_port()
        self.process = subprocess.Popen(
            [
                binary,
                f"--config.file={directory}/prometheus.yml",
                f"--storage.tsdb.path={directory}/data",
                "--rules.alert.resend-delay=1s",  # it drops what it has to send before it knows its Alertmanager
                f"--web.listen-address=127.0.0.1:{self.port}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "GOMAXPROCS": "1"},
        )

    def query(self, expression: str) -> list[dict[str, Any]]:
        url = f"http://127.0.0.1:{self.port}/api/v1/query?query={urllib.parse.quote(expression)}"
        with urllib.request.urlopen(url, timeout=30.0) as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
            return found

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30.0)
        self.alertmanager.server.shutdown()


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[Callable[[int], Prometheus]]:
    made: list[Prometheus] = []

    def make(daemon_port: int) -> Prometheus:
        made.append(Prometheus(tmp_path, daemon_port))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def test_alerts_fire_on_real_faults(daemon: Callable[..., Daemon], prometheus: Callable[[int], Prometheus]) -> None:
    port = free_port()
    d = daemon(f"""
[supervisor.http]
listen = "127.0.0.1:{port}"

[services.steady]
command = ["sleep", "1000"]

[services.broken]
command = ["false"]
restart = {{ initial = "0s", max_restarts = 2, window = "60s", cooldown = "600s" }}
""")
    d.event("broken", "failed")
    p = prometheus(port)
    fired = p.alertmanager.alert("PhiBreakerOpen", name="broken", service="broken")
    assert fired["annotations"]["summary"].startswith("broken failed too often")
    assert fired["annotations"]["command"] == "supervisor why broken; supervisor reset broken"
    p.alertmanager.alert("PhiServiceDown", service="broken")

    def calm() -> bool:
        """A scrape has succeeded, and the rules were evaluated since: on a busy host the first ones may fail."""
        up, ready = (p.query(one) for one in ('up{job="phi"}', 'phi_supervisor_instance_ready{name="steady"}'))
        alerts = p.query('ALERTS{alertname=~"PhiSupervisor.*"}')
        return [row["value"][1] for row in (*up, *ready)] == ["1", "1"] and not alerts

    until(calm)
    known = {row["metric"]["__name__"] for row in p.query('{__name__=~"phi_supervisor_.+"}')}
    served = {re.sub("_(bucket|sum|count)$", "", name) for name in known}
    without_heartbeats = {"instance_phi", "instance_heartbeat_age_seconds", "instance_heartbeat_interval_seconds"}
    behind_a_balancer = {"instance_balanced", "instance_sessions", "instance_queued_requests", "load_ratio"}
    behind_a_balancer |= {"instance_requests_total", "instance_request_errors_total"}
    of_sockets = {"socket_waiting_connections", "socket_waiting_limit", "socket_overflows_total"}
    absent = {family.name for family in FAMILIES if family.full_name not in served}
    behind_a_balancer |= {"balancer_up", "balancer_slots"}
    of_rollouts = {"rollout_state", "rollout_paused", "rollouts_total"}
    of_clusters = {"cluster_hosts", "cluster_consistency_ratio"}
    others = of_sockets | of_rollouts | of_clusters | {"instance_holds_total"}
    assert absent == without_heartbeats | behind_a_balancer | others

    d.stop()
    p.alertmanager.alert("PhiSupervisorAbsent")
    p.alertmanager.alert("PhiSupervisorGone", name="test", job="phi")


BEATS = """
import os, socket, time
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
    sock.connect(os.environ["NOTIFY_SOCKET"])
    sock.send(b"READY=1")
    while True:
        print("a line", flush=True)
        time.sleep(0.05)
        sock.send(b"WATCHDOG=1")
"""
RARE = {"{{service}} failed", "{{name}} waiting"}
"""The series of the board that need a failed or a waiting request at the moment of the scrape."""


def board(place: Path, port: int, first: int, release: str) -> str:
    """A daemon in which there is something to see for each panel of the board; it uses ten ports from `first` on."""
    (place / "release.py").write_text(RELEASE)
    return f"""
[supervisor.http]
listen = "127.0.0.1:{port}"

[services.shop]
command = ["{sys.executable}", "{place}/release.py", "{release}", "good"]
replicas = 3
sockets = ["tcp://127.0.0.1:{first}"]
ready = {{ notify = true }}
rollout = {{ settle = "1h" }}

[services.broken]
command = ["false"]
restart = {{ initial = "0s", max_restarts = 2, window = "60s", cooldown = "600s" }}

[services.once]
command = ["sh", "-c", "test -e {place}/once || {{ touch {place}/once; exit 1; }}; exec sleep 1000"]
restart.initial = "0s"

[services.steady]
command = ["sleep", "1000"]

[services.beats]
command = ["{sys.executable}", "-c", '''{BEATS}''']
ready = {{ notify = true }}
heartbeat = {{ source = "notify", interval = "50ms", min_timeout = "3s", max_timeout = "6s" }}
{balanced_service(first + 1, (first + 2, first + 9), place, name="api", replicas=2, drain="5s")}
"""


def filled(query: str) -> str:
    return query.replace("$job", ".*").replace("$instance", ".*")


def shows(title: str, rows: list[dict[str, Any]]) -> bool:
    """Whether the panel shows numbers, and the right one where there is one of its kind."""
    values = [float(row["value"][1]) for row in rows]
    if title in ("Rollouts in progress", "In maintenance", "Held", "Open breakers"):
        return values == [1.0]
    if title == "Failures by service":
        return {row["metric"]["service"] for row in rows} >= {"broken", "once"}  # also where it is the first failure
    return bool(values) and not any(isnan(value) for value in values)


def test_every_panel_of_the_board_shows_something(
    daemon: Callable[..., Daemon], prometheus: Callable[[int], Prometheus], tmp_path: Path
) -> None:
    program("haproxy")
    port, first = free_port(), free_ports(10)
    d = daemon(board(tmp_path, port, first, "one"))
    d.transitions(("broken", "failed"), ("once", "running"), ("beats", "running"), ("shop@3", "running"))
    p = prometheus(port)
    assert d.cli("maintenance", "on", "steady").returncode == 0
    panels = json.loads((ROOT / "docs" / "monitoring" / "grafana.json").read_text())["panels"]
    targets = [
        (panel["title"], target["expr"])
        for panel in panels
        for target in panel["targets"]
        if target["legendFormat"] not in RARE
    ]
    deadline = time.monotonic() + ALERT_WITHIN
    beats = [(title, query) for title, query in targets if title == "Heartbeat intervals"]
    assert beats
    while not all(shows(title, p.query(filled(query))) for title, query in beats):  # none comes once it is stopped
        assert time.monotonic() < deadline, beats
    d.write(board(tmp_path, port, first, "two"))
    assert d.cli("reload", "--no-wait").returncode == 0
    os.kill(pid := d.status("beats")["pid"], signal.SIGSTOP)
    clients = Clients(first + 1, 2)
    try:
        d.event("beats", "suspect", "held")
        deadline = time.monotonic() + ALERT_WITHIN
        while targets:
            targets = [(title, query) for title, query in targets if not shows(title, p.query(filled(query)))]
            assert time.monotonic() < deadline, targets
    finally:
        clients.stop()
        os.kill(pid, signal.SIGCONT)
