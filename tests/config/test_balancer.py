"""[services.NAME.balance]: what is complained about, and the HAProxy that is added to the plan."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.config.explain import plan_text
from supervisor.config.load import load
from supervisor.core.model.spec import BALANCER, Plan
from supervisor.errors import ConfigError

WEB = '[services.web]\ncommand = ["sleep", "1"]\nreplicas = 2\nports = "18000-18009"\n[services.web.balance]\n'
ONE = '[services.web]\ncommand = ["sleep", "1"]\n[services.web.balance]\n'
LISTEN = 'listen = "127.0.0.1:8000"\n'


@pytest.fixture
def haproxy(env: dict[str, str]) -> Path:
    """The program on the PATH: it says that it is new enough."""
    program = Path(env["PATH"], "haproxy")
    said(program, "HAProxy version 2.6.12-1 2023/12/16")
    return program


def said(program: Path, version: str) -> None:
    program.write_text(f'#!/bin/sh\necho "{version}"\n')
    program.chmod(0o755)


def loaded(tmp_path: Path, env: dict[str, str], text: str) -> Plan:
    file = tmp_path / "services.toml"
    file.write_text(text)
    return load(file, env)


def complaint(tmp_path: Path, env: dict[str, str], text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, env, text)
    return caught.value.message


def test_haproxy_is_a_service_of_the_plan(tmp_path: Path, env: dict[str, str], haproxy: Path) -> None:
    plan = loaded(tmp_path, env, WEB + LISTEN + 'drain = "5s"\nsticky = "cookie"\nretry = "idempotent"\n')
    assert [spec.name for spec in plan.services] == [BALANCER, "web"]
    added, web = plan.services
    assert added.command[0] == str(haproxy)
    assert added.command[1] == "-Ws"
    assert web.depends_on == (BALANCER,)
    assert web.balance is not None
    assert (web.balance.listen, web.balance.server, web.balance.drain) == (("127.0.0.1", 8000), "127.0.0.1:{port}", 5.0)
    assert added.heartbeat is not None
    assert added.inherit_environment == ()
    told = " ".join(plan_text(plan).split())
    assert "balance by HAProxy at 127.0.0.1:8000 (http, leastconn); each request that may run twice tried again" in told
    assert "elsewhere; a client stays with its instance (by a cookie); drained within 5s" in told


def test_a_fallback_that_gets_no_requests_is_noted(tmp_path: Path, env: dict[str, str], haproxy: Path) -> None:
    text = WEB + LISTEN + '[services.web.restart]\nfallback = "sorry"\n[services.sorry]\ncommand = ["sleep", "1"]\n'
    file, notes = tmp_path / "services.toml", list[str]()
    file.write_text(text)
    load(file, env, note=notes.append)
    assert [note.partition(": ")[2] for note in notes] == [
        'services.web.restart.fallback: "sorry" gets no requests from HAProxy: give it `ports`, because balance.server '
        "has {port}"
    ]
    file.write_text(text + 'ports = "18010-18010"\n')
    load(file, env, note=notes.append)
    assert len(notes) == 1


def test_without_balance_nothing_is_added(tmp_path: Path, env: dict[str, str]) -> None:
    plan = loaded(tmp_path, env, '[services.haproxy]\ncommand = ["sleep", "1"]\n')
    assert [spec.name for spec in plan.services] == ["haproxy"]


def test_an_haproxy_that_is_too_old_is_refused(tmp_path: Path, env: dict[str, str], haproxy: Path) -> None:
    said(haproxy, "HAProxy version 2.4.22-1 2023/02/14")
    told = complaint(tmp_path, env, WEB + LISTEN)
    assert f"services.web.balance: {haproxy} is HAProxy 2.4.22-1; 2.6 or newer is needed (package haproxy)" in told


def test_a_missing_haproxy_is_refused(tmp_path: Path, env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("supervisor.adapters.balancing.program.BESIDE_PATH", ())
    told = complaint(tmp_path, env, WEB + LISTEN)
    assert "services.web.balance: no haproxy on this machine; install 2.6 or newer (package haproxy)" in told
    plan = load(tmp_path / "services.toml", env, tolerate_missing=True)
    assert [spec.name for spec in plan.services if spec.unresolved] == [BALANCER, "web"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (WEB, "services.web.balance: needs listen"),
        (ONE + LISTEN + 'server = "127.0.0.1:8000"', "balance.server: 127.0.0.1:8000 is where HAProxy itself listens"),
        (ONE + LISTEN + 'server = "localhost:8000"', "balance.server: 127.0.0.1:8000 is where HAProxy itself listens"),
        (ONE + 'listen = "[::]:80"\nserver = "[::1]:80"', "balance.server: [::1]:80 is where HAProxy itself listens"),
        (WEB + LISTEN + 'server = "127.0.0.1:9000"', "balance.server: is one address for 2 instances"),
        (WEB + LISTEN + 'server = "db.example:{port}"', 'balance.server: "db.example:{port}" is not the address'),
        (WEB + LISTEN + 'server = "127.0.0.1:{prt}"', 'balance.server: "127.0.0.1:{prt}" is not the address'),
        (WEB.replace("ports", "#") + LISTEN, "balance.server: {port} stands for a port of `ports`"),
        (WEB + 'listen = "127.0.0.1:18003"', 'balance.listen: 127.0.0.1:18003 is one of the `ports` of "web"'),
        (WEB + LISTEN + 'algorithm = "leastcon"', 'did you mean "leastconn"?'),
        (WEB + LISTEN + 'check = "healthz"', 'balance.check: "healthz" is not a path'),
        (WEB + LISTEN + 'check = "/a b"', 'balance.check: "/a b" is not a path'),
        (WEB + LISTEN + 'mode = "tcp"\ncheck = "/x"', 'balance.check: needs mode = "http"'),
        (WEB + LISTEN + 'mode = "tcp"\nsticky = "cookie"', 'balance.sticky: needs mode = "http"'),
        (WEB + LISTEN + 'mode = "tcp"\nretry = "idempotent"', 'balance.retry: needs mode = "http"'),
        (WEB + LISTEN + 'certificate = "none.pem"', "none.pem cannot be read"),
        (WEB + LISTEN + 'certificate = "services.toml"', "services.toml has no private key: HAProxy needs it"),
        (WEB + LISTEN + "max_connections = 0", "balance.max_connections"),
        (WEB + LISTEN + "drian = 1", 'unknown key; did you mean "drain"?'),
        (WEB + LISTEN + '[services.haproxy]\ncommand = "sleep 1"', "services.haproxy: the name is taken"),
        (
            WEB + LISTEN + '[supervisor.http]\nlisten = "127.0.0.1:8000"',
            "127.0.0.1:8000 is taken: the daemon itself (supervisor.http.listen) listens on it",
        ),
        (
            WEB + LISTEN + '[services.api]\ncommand = "sleep 1"\nsockets = ["tcp://127.0.0.1:8000"]',
            '127.0.0.1:8000 is taken: "api" (sockets) listens on it',
        ),
        (WEB.replace("replicas", 'type = "oneshot"\nreplicas') + LISTEN, 'makes no sense with type = "oneshot"'),
        ('[supervisor]\nruntime_dir = "/tmp/a,b"\n' + WEB + LISTEN, "no directory with a blank or a comma"),
    ],
)
def test_keys_that_contradict_are_refused(
    tmp_path: Path, env: dict[str, str], haproxy: Path, text: str, why: str
) -> None:
    assert why in complaint(tmp_path, env, text)
