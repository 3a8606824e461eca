"""HTTP probes of a socket that all instances share: a note, because any instance answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.config.checks.test_shell_syntax import found

SAID = (
    "127.0.0.1:8000 is one socket of all 4 instances: any of them answers, not only the one that is asked; "
    "use notify, or a socket for each instance, with {port} or {replica} in both"
)
FOUR = 'replicas = 4\nsockets = ["tcp://127.0.0.1:8000"]\n'
OWN = 'replicas = 4\nports = "8000-8009"\nsockets = ["tcp://127.0.0.1:{port}"]\n'


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (FOUR + 'ready.http = "http://127.0.0.1:8000/"', [f"services.toml:5: services.web.ready.http: {SAID}"]),
        (
            FOUR + 'heartbeat = { source = "http", http = "http://localhost:8000/x" }',
            [f"services.toml:5: services.web.heartbeat.http: {SAID}".replace("127.0.0.1", "localhost")],
        ),
        (
            'replicas = 4\nsockets = ["unix:/run/web.sock"]\nready.http = "http://unix:/run/web.sock:/healthz"',
            [f"services.toml:5: services.web.ready.http: {SAID}".replace("127.0.0.1:8000", "unix:/run/web.sock")],
        ),
        (FOUR + 'ready.http = "http://127.0.0.1:8001/"', []),
        (FOUR + "ready.notify = true", []),
        (FOUR.replace("4", "1") + 'ready.http = "http://127.0.0.1:8000/"', []),
        (OWN + 'ready.http = "http://127.0.0.1:{port}/"', []),
    ],
)
def test_a_probe_that_any_instance_answers(tmp_path: Path, keys: str, said: list[str]) -> None:
    assert found(tmp_path, '[services.web]\ncommand = "sleep 1000"\n' + keys) == said
