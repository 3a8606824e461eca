"""HAProxy in front of replicas that crash, hang, restart and change: the real program, driven by the real daemon."""

from __future__ import annotations

import http.client
import os
import shlex
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from scripts.tools.bench.balanced import WEB, Clients, balanced_service
from scripts.tools.bench.ports import free_port, free_ports
from supervisor.core.balancing import answers
from supervisor.core.balancing.haproxy_config import Place
from tests.e2e.conftest import PATIENCE, Daemon, alive

Start = Callable[..., Daemon]
REPLICAS = 4

pytestmark = pytest.mark.skipif(
    shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin") is None, reason="haproxy is not installed"
)


def service(port: int, place: Path, *, name: str = "web", replicas: int = REPLICAS, more: str = "") -> str:
    first = free_ports(16)
    return balanced_service(port, (first, first + 15), place, name=name, replicas=replicas, drain="20s", more=more)


@pytest.fixture
def load() -> Iterator[Callable[[int], Clients]]:
    made: list[Clients] = []

    def begin(port: int) -> Clients:
        made.append(Clients(port, 6))
        return made[-1]

    yield begin
    for one in made:
        one.stop()


def asked(place: Path, number: int) -> int:
    """How many requests this instance got."""
    return (place / str(number)).stat().st_size


def ask(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    with closing(connection):
        connection.request("GET", "/")
        return connection.getresponse().read().decode().strip()


def slots(daemon: Daemon, name: str = "web") -> dict[str, Any]:
    """The slots of a service, by instance."""
    (found,) = daemon.client.get(f"/v1/balance?service={name}")["services"]
    return {slot["instance"]: slot for slot in found["slots"]}


def confirmed(daemon: Daemon, name: str = "web") -> dict[str, int]:
    """The number of the slot of each instance for which HAProxy shows what is wanted of it."""
    return {one: slot["slot"] for one, slot in slots(daemon, name).items() if slot["status"] is not None}


def all_confirmed(daemon: Daemon, count: int = REPLICAS, name: str = "web") -> dict[str, int]:
    while len(found := confirmed(daemon, name)) != count:
        pass
    return found


def all_ready(daemon: Daemon, count: int = REPLICAS, name: str = "web") -> None:
    waiting = {f"{name}@{n}" for n in range(1, count + 1)}
    while waiting:
        line = daemon.said(
            lambda line: isinstance(line, dict) and line.get("to") == "running" and line["instance"] in waiting
        )
        waiting.discard(line["instance"])


def processes(daemon: Daemon) -> answers.Processes:
    """What the master of HAProxy tells of its workers.  It refuses connections while it executes itself anew."""
    told = b""
    while b" master " not in told:
        with suppress(OSError), closing(socket.socket(socket.AF_UNIX)) as master:
            master.connect(Place(f"{daemon.runtime_dir}/haproxy").master)
            master.sendall(b"show proc\n")
            master.shutdown(socket.SHUT_WR)
            told = b""
            while part := master.recv(65536):
                told += part
    return answers.processes(told.decode())


def test_killed_instances_cost_no_request(daemon: Start, load: Callable[[int], Clients], tmp_path: Path) -> None:
    port = free_port()
    one = daemon(service(port, tmp_path))
    all_ready(one)
    requests = load(port)
    requests.more(50)
    for kill in range(6):
        name = f"web@{kill % REPLICAS + 1}"
        os.kill(one.status(name)["pid"], signal.SIGKILL)
        one.event(name, "running", "ready")
        requests.more(50)
    requests.stop()
    assert requests.failed == []
    assert processes(one).reloads == 0


def test_a_hung_instance_gets_no_new_request(daemon: Start, load: Callable[[int], Clients], tmp_path: Path) -> None:
    port = free_port()
    beat = """
[services.web.heartbeat]
source = "http"
http = "http://127.0.0.1:{port}/healthz"
interval = "200ms"
min_timeout = "1s"
max_timeout = "2s"
on_suspect = "report"
"""
    one = daemon(service(port, tmp_path, more=beat))
    all_ready(one)
    requests = load(port)
    requests.more(50)
    os.kill(one.status("web@2")["pid"], signal.SIGUSR1)
    one.event("web@2", "suspect", "heartbeat-silent")
    requests.more(20)
    assert slots(one)["web@2"]["state"] == "draining"
    before = asked(tmp_path, 2)
    requests.more(100)
    assert asked(tmp_path, 2) == before
    os.kill(one.status("web@2")["pid"], signal.SIGKILL)  # what it had taken is asked again elsewhere
    one.event("web@2", "running", "ready")
    requests.stop()
    assert requests.failed == []


def test_restarts_are_drained(daemon: Start, load: Callable[[int], Clients], tmp_path: Path) -> None:
    port = free_port()
    one = daemon(service(port, tmp_path))
    all_ready(one)
    requests = load(port)
    for name in ("web@1", "web@2", "web@3", "web@1"):
        requests.more(20)
        assert one.cli("restart", name).returncode == 0
    assert one.cli("stop", "web@4").returncode == 0
    requests.more(20)
    told = one.cli("balance", "web").stdout
    assert "takes no requests" in told
    assert one.cli("start", "web@4").returncode == 0
    requests.stop()
    assert requests.failed == []
    causes = [line.get("cause") for line in one.lines if isinstance(line, dict)]
    assert "drain-timeout" not in causes
    assert processes(one).reloads == 0


def test_another_number_of_instances_costs_no_request(
    daemon: Start, load: Callable[[int], Clients], tmp_path: Path
) -> None:
    port = free_port()
    one = daemon(service(port, tmp_path, replicas=2))
    all_ready(one, 2)
    requests = load(port)
    requests.more(20)
    for count in (4, 1, 3):
        assert one.cli("scale", f"web={count}").returncode == 0
        while len(confirmed(one)) != count:
            requests.more(10)
    requests.stop()
    assert requests.failed == []
    assert processes(one).reloads == 0


def test_a_client_stays_with_its_instance_while_that_is_there(daemon: Start, tmp_path: Path) -> None:
    port = free_port()
    one = daemon(service(port, tmp_path).replace('check = "/healthz"', 'check = "/healthz", sticky = "cookie"'))
    all_ready(one)
    all_confirmed(one)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    with closing(connection):
        connection.request("GET", "/")
        answer = connection.getresponse()
        first = answer.read()
        cookie = {"Cookie": str(answer.getheader("Set-Cookie")).partition(";")[0]}

        def again() -> bytes:
            connection.request("GET", "/", headers=cookie)
            return connection.getresponse().read()

        assert {again() for _ in range(8)} == {first}
        assert one.cli("stop", first.decode().strip()).returncode == 0
        assert first not in {again() for _ in range(8)}


def test_connections_are_balanced_too(daemon: Start, tmp_path: Path) -> None:
    port = free_port()
    text = service(port, tmp_path, replicas=2)
    one = daemon(text.replace('check = "/healthz", retry = "idempotent"', 'mode = "tcp", algorithm = "roundrobin"'))
    all_ready(one, 2)
    all_confirmed(one, 2)
    assert {ask(port) for _ in range(4)} == {"web@1", "web@2"}
    os.kill(one.status("web@1")["pid"], signal.SIGKILL)
    one.event("web@1", "backoff")
    assert {ask(port) for _ in range(4)} <= {"web@1", "web@2"}
    one.event("web@1", "running", "ready")


def test_a_hung_worker_is_found_and_replaced(daemon: Start, tmp_path: Path) -> None:
    port = free_port()
    one = daemon(service(port, tmp_path, replicas=2))
    all_ready(one, 2)
    old = processes(one).current
    assert old is not None
    os.kill(old, signal.SIGSTOP)
    one.event("haproxy", "suspect", "heartbeat-silent")
    one.event("haproxy", "running", "ready")
    assert not alive(old)
    all_confirmed(one, 2)
    assert {ask(port) for _ in range(10)} == {"web@1", "web@2"}


def test_haproxy_serves_on_while_there_is_no_daemon(
    daemon: Start, load: Callable[[int], Clients], tmp_path: Path
) -> None:
    port = free_port()
    one = daemon(service(port, tmp_path))
    all_ready(one)
    given = all_confirmed(one)
    requests = load(port)
    requests.more(20)
    one.signal(signal.SIGKILL)
    one.wait()
    requests.more(100)
    one.start()
    requests.more(50)
    one.event("web@4", "running", "adopted")
    assert one.cli("restart", "web@3").returncode == 0
    requests.more(20)
    now = all_confirmed(one)
    assert all(now[name] == given[name] for name in ("web@1", "web@2", "web@4"))
    requests.stop()
    assert requests.failed == []
    assert processes(one).reloads == 0


def test_a_fallback_stands_in_behind_the_same_balancer(daemon: Start, tmp_path: Path) -> None:
    port, ports, works = free_port(), free_ports(8), tmp_path / "works"
    program = f"{shlex.quote(sys.executable)} {shlex.quote(str(WEB))}"
    web = f"""
[services.web]
command = ["sh", "-c", "test -e {works} && exec {program} {{port}}"]
replicas = 2
ports = "{ports}-{ports + 3}"
ready = {{ http = "http://127.0.0.1:{{port}}/healthz", interval = "50ms", timeout = "10s" }}
restart = {{ initial = "10ms", max_restarts = 1, cooldown = "1h", fallback = "sorry" }}
balance = {{ listen = "127.0.0.1:{port}", check = "/healthz" }}

[services.sorry]
command = "{program} {{port}}"
autostart = false
ports = "{ports + 4}-{ports + 7}"
ready = {{ http = "http://127.0.0.1:{{port}}/healthz", interval = "50ms", timeout = "10s" }}
"""
    one = daemon(web)
    assert all_confirmed(one, 1).keys() == {"sorry"}
    assert ask(port) == "sorry"
    one.signal(signal.SIGKILL)
    one.wait()
    assert ask(port) == "sorry"
    one.start()
    assert all_confirmed(one, 1).keys() == {"sorry"}
    works.touch()
    one.cli("reset", "web", "--no-wait")
    all_ready(one, 2)
    while confirmed(one).keys() != {"web@1", "web@2"}:
        pass
    assert ask(port) in ("web@1", "web@2")
    assert processes(one).reloads == 0


def test_another_service_needs_one_reload_and_no_request(
    daemon: Start, load: Callable[[int], Clients], tmp_path: Path
) -> None:
    port, other = free_port(), free_port()
    web = service(port, tmp_path)
    one = daemon(web)
    all_ready(one)
    requests = load(port)
    requests.more(20)
    (tmp_path / "api").mkdir()
    api = service(other, tmp_path / "api", name="api", replicas=2)
    one.write(web + api)
    assert one.cli("reload").returncode == 0
    all_ready(one, 2, "api")
    while len(confirmed(one, "api")) < 2 or processes(one).old:  # the old worker ends when its connections are served
        requests.more(10)
    assert {ask(other) for _ in range(10)} == {"api@1", "api@2"}
    requests.stop()
    assert requests.failed == []
    assert processes(one).reloads == 1


def test_an_old_worker_that_stays_is_killed(daemon: Start, tmp_path: Path) -> None:
    port = free_port()
    web = service(port, tmp_path, replicas=1)
    one = daemon(web)
    one.event("web", "running", "ready")
    old = processes(one).current
    assert old is not None
    os.kill(one.status("web")["pid"], signal.SIGUSR1)
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    with closing(client):
        client.request("GET", "/")  # it is never answered, so that its worker stays
        while not slots(one).get("web", {"sessions": 0})["sessions"]:
            pass
        one.write(web.replace('drain = "20s"', 'drain = "10ms"'))
        assert one.cli("reload").returncode == 0
        one.problem(f"an old worker of HAProxy (pid {old}) stayed after a reload: killed")
    while alive(old):
        pass
    assert processes(one).reloads == 1


def test_a_taken_address_is_told_before_it_can_hurt(daemon: Start, tmp_path: Path) -> None:
    port = free_port()
    web = service(port, tmp_path, replicas=2)
    one = daemon(web)
    all_ready(one, 2)
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        moved = web.replace(f'listen = "127.0.0.1:{port}"', f'listen = "127.0.0.1:{taken.getsockname()[1]}"')
        one.write(moved)
        assert one.cli("reload").returncode == 0
        one.problem("HAProxy is not reloaded, and goes on as it was: cannot listen on")
        assert ask(port) in ("web@1", "web@2")
        assert processes(one).reloads == 0
        one.write(web)
        assert one.cli("reload").returncode == 0
    while one.client.get("/v1/status")["supervisor"]["problems"]:
        ask(port)
    assert processes(one).reloads == 0
