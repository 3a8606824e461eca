"""`rollout.max_surge`: what is refused because a service cannot run twice, and what is only noted."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.config.load import load
from supervisor.errors import ConfigError
from tests.config.checks.test_shell_syntax import found

WEB = '[services.web]\ncommand = "sleep 1000"\n'
ONE_MORE = "rollout = { max_unavailable = 0, max_surge = 1 }\n"
SAID = (
    "rollout.max_surge starts a second process, and 127.0.0.1:80 is one address: give each its own with `ports` and "
    "{port}, or let the supervisor hold it in `sockets`"
)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (
            "rollout = { max_unavailable = 0 }",
            "rollout.max_unavailable: 0 lets nothing be replaced while max_surge is 0",
        ),
        (
            'replicas = 3\nports = "8000-8002"\n' + ONE_MORE,
            "ports: 8000-8002: 3 ports for 3 instances and 1 more during a rollout (max_surge)",
        ),
        (
            'replicas = 5\nports = "8000-8005"\nrollout.max_surge = "25%"',
            "ports: 8000-8005: 6 ports for 5 instances and 2 more during a rollout (max_surge)",
        ),
        ('sockets = ["tcp://127.0.0.1:80?start=demand"]\n' + ONE_MORE, "rollout.max_surge: a service that starts on"),
        ("end_with = true\n" + ONE_MORE, "rollout.max_surge: cannot be combined with end_with"),
        ('rollout.max_surge = "0%"', 'rollout.max_surge: "0%" is not a part of the instances'),
        ("rollout.max_surge = -1", "rollout.max_surge: -1"),
    ],
)
def test_what_cannot_run_beside_each_other_is_refused(tmp_path: Path, keys: str, said: str) -> None:
    (tmp_path / "services.toml").write_text(WEB + keys)
    with pytest.raises(ConfigError) as refused:
        load(str(tmp_path / "services.toml"))
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (ONE_MORE + 'ready.tcp = "127.0.0.1:80"', [f"services.toml:4: services.web.ready.tcp: {SAID}"]),
        (
            ONE_MORE + 'heartbeat = { source = "http", http = "http://127.0.0.1:80/x" }',
            [f"services.toml:4: services.web.heartbeat.http: {SAID}"],
        ),
        (ONE_MORE + 'sockets = ["tcp://127.0.0.1:80"]\nready.http = "http://127.0.0.1:80/"', []),
        (ONE_MORE + 'ports = "8000-8001"\nready.tcp = "127.0.0.1:{port}"', []),
        (ONE_MORE + 'ready.http = "http://unix:/run/web.sock:/"', []),
        (ONE_MORE + 'replicas = 2\nready.tcp = "127.0.0.1:80"', []),
        ('rollout.settle = "1s"\nready.tcp = "127.0.0.1:80"', []),
    ],
)
def test_a_fixed_address_of_a_second_process_is_noted(tmp_path: Path, keys: str, said: list[str]) -> None:
    assert found(tmp_path, WEB + keys) == said
