"""Replicas by the real command: each with its port and its socket."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.tools.bench.ports import free_ports
from tests.e2e.conftest import PATIENCE, Daemon
from tests.e2e.services.test_sockets import SERVER, ask

Start = Callable[..., Daemon]

LISTENS = """
import os, socket, sys
print("will listen on", os.environ["PORT"], flush=True)  # before a probe finds it ready
listening = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    listening.accept()[0].close()
"""


def test_each_instance_listens_on_its_own_port(daemon: Start, tmp_path: Path) -> None:
    first = free_ports(3)
    (tmp_path / "listens.py").write_text(LISTENS)
    one = daemon(
        f'[services.web]\ncommand = ["{sys.executable}", "{tmp_path}/listens.py", "{{port}}"]\nreplicas = 3\n'
        f'ports = "{first}-{first + 2}"\nready.tcp = "127.0.0.1:{{port}}"\n'
        f'heartbeat = {{ source = "exec", exec = ["sh", "-c", "test $PORT = {{port}}"], interval = "100ms" }}\n'
    )
    assert one.cli("up", "-d").returncode == 0
    for number in range(3):
        assert f"will listen on {first + number}\n" in one.cli("logs", f"web@{number + 1}").stdout
        assert one.status(f"web@{number + 1}")["port"] == first + number
    assert one.cli("restart", "web@2").returncode == 0
    assert one.status("web@2")["port"] == first + 1


def test_each_instance_has_a_socket_of_its_own(daemon: Start, tmp_path: Path) -> None:
    first = free_ports(2)
    (tmp_path / "server.py").write_text(SERVER)
    one = daemon(
        f'[services.web]\ncommand = ["{sys.executable}", "{tmp_path}/server.py"]\nreplicas = 2\n'
        f'ports = "{first}-{first + 1}"\nsockets = ["tcp://127.0.0.1:{{port}}"]\n'
    )
    one.event("web@1", "running")
    one.event("web@2", "running")
    pids = [one.status(name)["pid"] for name in ("web@1", "web@2")]
    assert [ask(first), ask(first + 1)] == pids
    one.signal(signal.SIGKILL)
    one.wait()
    one.start()
    one.event("web@2", "running", "adopted")
    assert one.cli("stop", "web@1").returncode == 0
    with pytest.raises(ConnectionRefusedError):
        ask(first)
    assert ask(first + 1) == pids[1]
    assert one.cli("restart", "web@2").returncode == 0
    assert ask(first + 1) not in pids


WEB = """
[services.web]
command = ["sleep", "1000"]
[services.front]
command = ["sleep", "1000"]
depends_on = ["web"]
"""


def names(one: Daemon) -> dict[str, int | None]:
    """The pids of the instances by name."""
    return {row["name"]: row["pid"] for row in one.client.status()["instances"]}


def test_another_number_holds_until_the_file_is_applied(daemon: Start) -> None:
    one = daemon(WEB)
    one.event("front", "running")
    before = names(one)
    scaled = one.cli("scale", "web=3")
    assert (scaled.returncode, scaled.stderr) == (0, "")
    assert "web@2  ready\n" in scaled.stdout and scaled.stdout.endswith("ready\n")
    after = names(one)
    assert (after["web"], after["front"], len(after)) == (before["web"], before["front"], 4)
    told = "web has 3 replicas by `supervisor scale`, 1 in the file, which the next reload applies"
    assert told in one.cli("status").stderr
    assert one.client.status()["supervisor"]["deviations"] == [{"service": "web", "replicas": 3, "configured": 1}]
    assert "scale web=3: ordered by" in str(one.lines)

    one.signal(signal.SIGKILL)
    one.wait()
    one.start()
    one.event("web", "running", "adopted")
    assert names(one) == after
    assert one.cli("upgrade").returncode == 0
    one.said(lambda line: isinstance(line, dict) and line.get("cause") == "upgraded")
    assert names(one) == after
    assert told in one.cli("status").stderr

    dry = one.cli("reload", "--dry-run").stdout
    assert "~ web  `supervisor scale web=3` ends\n" in dry and "replicas" not in dry, "it is told once"
    assert "`supervisor scale web=3` ended" in one.cli("reload").stdout
    one.event("web@3", "stopped")
    assert one.cli("status").stderr == ""
    found = names(one)
    assert {name: found[name] for name in ("web", "front")} == before


def test_a_service_is_meant_by_its_name_whatever_its_first_instance_is_called(daemon: Start) -> None:
    one = daemon(WEB)
    one.event("front", "running")
    assert one.cli("scale", "web=2").returncode == 0
    restarted = one.cli("restart", "web").stdout
    assert "web  ready" in restarted and "web@2  ready" in restarted
    assert [row["name"] for row in one.client.status(["web@1"])["instances"]] == ["web"]
    gone = one.cli("scale", "web=1")
    assert gone.returncode == 0 and gone.stdout.endswith("web@2  stopped\n")
    assert set(names(one)) == {"web", "front"}


def test_all_errors_of_an_order_to_scale_are_said_at_once(daemon: Start) -> None:
    one = daemon(WEB)
    one.event("front", "running")
    wrong = one.cli("scale", "web=2", "wbe=2", "front=0")
    assert wrong.returncode == 2
    assert "front=0: 0 replicas: `supervisor stop front` stops all of them" in wrong.stderr
    assert "wbe=2: no service is named 'wbe'; did you mean \"web\"?" in wrong.stderr
    assert set(names(one)) == {"web", "front"}
    assert one.cli("scale", "wbe=2").returncode == 4
    assert one.cli("scale").returncode == 2
    assert one.cli("scale", "--no-wait", "web=2", "front=2").stdout == "+ web@2\n+ front@2\n"
    assert one.cli("scale", "web=2").stdout == "no instance is started or stopped\n"


def test_enough_ready_instances_are_a_ready_service(daemon: Start) -> None:
    one = daemon(
        '[services.web]\ncommand = ["sleep", "1000"]\nreplicas = 3\nmin_ready = 2\n'
        'ready = { exec = ["test", "{replica}", "-ne", "2"], interval = "50ms" }\n'
        '[services.front]\ncommand = ["sleep", "1000"]\ndepends_on = ["web"]\n'
    )
    one.event("front", "running")
    assert one.status("web@2")["state"] == "starting"
    up = one.cli("up", "-d")
    assert up.returncode == 0 and "web@2  starting; web is ready without it\n" in up.stdout
    assert up.stdout.endswith("3 of 4 ready (the daemon was already running)\n"), up.stdout
    assert "web@2  starting; web is ready without it\n" in one.cli("start", "web@2").stdout
    assert one.cli("stop", "web@3").returncode == 0
    assert one.cli("reset", "web@3").stdout == "web@3  stays stopped\n"
    assert one.cli("start", "web@3").returncode == 0
    assert one.client.get("/readyz") == {"status": "ok", "waiting_for": []}
    assert one.cli("status").returncode == 3


def test_fewer_instances_keep_min_ready_of_them_ready(daemon: Start, tmp_path: Path) -> None:
    one = daemon(
        f'[services.web]\ncommand = "sleep inf"\nreplicas = 3\nmin_ready = 1\nstart_timeout = "1h"\n'
        f'ready = {{ exec = ["test", "-e", "{tmp_path}/{{replica}}"], interval = "50ms" }}\n'
    )
    for number in (2, 3):
        (tmp_path / str(number)).touch()
        one.event(f"web@{number}", "running", "ready")
    command = [sys.executable, "-m", "supervisor", "-f", str(one.file), "scale", "web=1"]
    scale = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    one.event("web@2", "stopped")
    kept = one.status("web@3")
    assert (kept["state"], kept["ready"], kept["goal"]) == ("running", True, "down")
    (tmp_path / "1").touch()
    said, _ = scale.communicate(timeout=PATIENCE)
    assert scale.returncode == 0 and "web@3  stopped" in said, said
    assert one.status("web@1")["ready"]


def test_a_release_with_other_ports_goes_back_to_as_many_as_there_were(daemon: Start, tmp_path: Path) -> None:
    first = free_ports(8)
    (tmp_path / "listens.py").write_text(LISTENS)
    toml = (
        f'[services.web]\ncommand = ["{sys.executable}", "{tmp_path}/PROGRAM", "{{port}}"]\nreplicas = COUNT\n'
        'ports = "PORTS"\nready.tcp = "127.0.0.1:{port}"\nrollout.settle = "100ms"\n'
    )

    def made(program: str, count: int, ports: tuple[int, int]) -> str:
        words = {"PROGRAM": program, "COUNT": str(count), "PORTS": "{}-{}".format(*ports)}
        return re.sub("PROGRAM|COUNT|PORTS", lambda found: words[found.group()], toml)

    one = daemon(made("listens.py", 2, (first, first + 1)))
    assert one.cli("up", "-d").returncode == 0
    one.write(made("none.py", 3, (first + 4, first + 7)))
    back = one.cli("reload")
    assert back.returncode == 1, back
    assert f"; the previous ports = {first}-{first + 1} hold 2 of 3 instances" in back.stderr
    assert [row["name"] for row in one.client.status()["instances"]] == ["web@1", "web@2"]
    assert [one.status(f"web@{n}")["ready"] for n in (1, 2)] == [True, True]


def test_a_scale_under_way_is_shown_where_rollouts_are(daemon: Start) -> None:
    one = daemon(
        '[services.web]\ncommand = ["sleep", "1000"]\nready.notify = true\nstart_timeout = "1h"\n'
        '[services.other]\ncommand = ["sleep", "1000"]\n'
    )
    assert one.cli("scale", "--no-wait", "web=2").returncode == 0
    shown = one.cli("rollout", "web").stdout
    assert re.fullmatch(r"web  scale from 1 to 2: web@2 starting; 0 of 2 instances ready; began .* ago\n", shown)
    (scaling,) = one.client.get("/v1/rollouts")["scaling"]
    assert (scaling["service"], scaling["starting"], scaling["stopping"]) == ("web", ["web@2"], [])
    assert "scaling" not in one.client.get("/v1/rollouts", service=["other"])
    causes = {event["cause"] for event in one.client.get("/v1/events", limit=1000)["events"]}
    assert "scaled-by-user" in causes and "reloaded" not in causes, "nothing has changed for the one that stays"
