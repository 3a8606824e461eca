"""The sockets of services, and conflicts between them."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.core.model.spec import SocketSpec
from tests.config.conftest import Complain, Load

WEB = '[services.web]\ncommand = "sleep 1"\n'
API = '[services.api]\ncommand = "sleep 1"\n'


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("tcp://127.0.0.1:8000", SocketSpec(url="tcp://127.0.0.1:8000")),
        ("tcp://localhost:8000?name=http", SocketSpec(url="tcp://127.0.0.1:8000", label="http")),
        ("tcp://[0:0::1]:${PORT}", SocketSpec(url="tcp://[::1]:8000")),
        ("unix:/run/../run/a.sock?mode=666", SocketSpec(url="unix:/run/a.sock", mode=0o666)),
        ("unix:///run/a.sock", SocketSpec(url="unix:/run/a.sock")),
        ("unix:@app", SocketSpec(url="unix:@app")),
        ("tcp://127.0.0.1:8000?share=reuseport", SocketSpec(url="tcp://127.0.0.1:8000", reuseport=True)),
        ("unix:@app?start=demand&idle=10m", SocketSpec(url="unix:@app", on_demand=True, idle=600.0)),
    ],
)
def test_how_a_socket_is_written(plan: Load, text: str, wanted: SocketSpec) -> None:
    assert plan(f'{WEB}sockets = ["{text}"]').services[0].sockets == (wanted,)


def test_a_relative_path_is_in_the_files_folder(plan: Load, tmp_path: Path) -> None:
    assert plan(f'{WEB}sockets = ["unix:a.sock"]').services[0].sockets[0].url == f"unix:{tmp_path}/a.sock"


@pytest.mark.parametrize(
    ("one", "other", "taken"),
    [
        ("tcp://127.0.0.1:80", "tcp://127.0.0.1:80", True),
        ("tcp://127.0.0.1:80", "tcp://127.0.0.1:81", False),
        ("tcp://0.0.0.0:80", "tcp://127.0.0.1:80", True),
        ("tcp://[::]:80", "tcp://[::1]:80", True),
        ("tcp://[::]:80", "tcp://0.0.0.0:80", False),
        ("unix:/a", "unix:/b", False),
    ],
)
def test_two_services_cannot_listen_on_the_same(
    complaints: Complain, plan: Load, one: str, other: str, taken: bool
) -> None:
    text = f'{WEB}sockets = ["{one}"]\n{API}sockets = ["{other}"]\n'
    if taken:
        assert f'services.api.sockets[0]: {other} is taken: "web" listens on {one}' in complaints(text)[-1]
    else:
        assert len(plan(text).services) == 2


def test_a_fallback_may_answer_on_the_socket_of_what_it_stands_in_for(plan: Load) -> None:
    sockets = 'sockets = ["tcp://127.0.0.1:80"]\n'
    found = plan(f'{WEB}{sockets}restart.fallback = "api"\n{API}{sockets}autostart = false\n')
    assert [s.sockets[0].url for s in found.services] == ["tcp://127.0.0.1:80"] * 2


def test_nobody_can_have_the_supervisors_own(complaints: Complain) -> None:
    text = f'supervisor.http.listen = "localhost:80"\n{WEB}sockets = ["tcp://127.0.0.1:80"]\n'
    wanted = "tcp://127.0.0.1:80 is taken: the daemon itself (supervisor.http.listen) listens on tcp://127.0.0.1:80"
    assert complaints(text)[-1].endswith(wanted)
