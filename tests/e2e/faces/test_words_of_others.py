"""Sixty command lines of the four other tools, typed to a running daemon: each is done, or answered with our word."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from supervisor.cli.main import main
from tests.e2e.conftest import Daemon

SERVICES = """
[defaults]
command = ["sh", "-c", "trap '' HUP USR1; echo begun; exec sleep 1000"]
[services.web]
replicas = 2
[services.worker]
"""

SUPERVISORCTL = [
    ("status", "worker"),
    ("status worker", "worker"),
    ("stop worker", "worker"),
    ("start worker", "worker"),
    ("restart worker", "worker"),
    ("tail worker", "begun"),
    ("tail worker stdout", "begun"),
    ("signal HUP worker", "signal -s HUP"),
    ("reread", "reload --dry-run"),
    ("update", '"supervisor reload"'),
    ("avail", '"supervisor status"'),
    ("pid worker", '"supervisor status NAME" shows the pid'),
    ("fg worker", '"supervisor logs -f NAME"'),
    ("clear worker", "no command empties a log"),
    ("maintail", '"supervisor events"'),
    ("reload worker", '"supervisor restart --rolling NAME"'),
    ("version", "supervisor"),
    ("help stop", "Usage"),
]
COMPOSE = [
    ("ps", "worker"),
    ("ps -a", "worker"),
    ("logs --tail 1 worker", "begun"),
    ("logs --tail=1 --no-log-prefix worker", "begun"),
    ("up --build", "nothing is built"),
    ("up --scale web=3", '"supervisor scale SERVICE=N"'),
    ("up --remove-orphans", '"supervisor reload"'),
    ("down -v", "without a container"),
    ("down web", '"supervisor stop NAME"'),
    ("config", '"supervisor check"'),
    ("build", "nothing is built"),
    ("pull", "nothing is pulled"),
    ("kill -s HUP worker", "HUP"),
    ("kill worker", '"supervisor stop NAME"'),
    ("pause worker", '"supervisor maintenance on NAME"'),
    ("rm worker", '"supervisor stop NAME"'),
    ("images", "without a container"),
]
SYSTEMCTL = [
    ("list-units", "worker"),
    ("status worker --no-pager", "nothing is paged"),
    ("daemon-reload", '"supervisor reload"'),
    ("enable worker", '"supervisor systemd"'),
    ("disable worker", '"supervisor systemd"'),
    ("is-active worker", '"supervisor wait --for ready'),
    ("is-failed worker", '"supervisor wait --for ready'),
    ("cat worker", '"supervisor show NAME"'),
    ("reset-failed worker", '"supervisor reset NAME"'),
    ("mask worker", "autostart = false"),
    ("try-restart worker", '"supervisor restart"'),
    ("reload-or-restart worker", '"supervisor restart --rolling NAME"'),
    ("list-dependencies worker", "worker"),
    ("journalctl -u worker", "begun"),
    ("journalctl -n 1 -u worker", "begun"),
    ("daemon-reexec", '"supervisor upgrade"'),
]
PM2 = [
    ("list", "worker"),
    ("l", "worker"),
    ("jlist", '"supervisor status --json"'),
    ("describe worker", "worker"),
    ("info worker", "worker"),
    ("logs worker --lines 1", "begun"),
    ("flush", "no command empties a log"),
    ("delete worker", '"supervisor stop NAME"'),
    ("save", "nothing has to be saved"),
    ("resurrect", "nothing has to be saved or restored"),
    ("startup", '"supervisor systemd"'),
    ("scale web 3", "web=3"),
    ("sendSignal HUP worker", "HUP"),
    ("start app.js --watch", "no file is watched"),
    ("start app.js -i 4", "scale SERVICE=N"),
    ("reload all", '"supervisor restart --rolling NAME"'),
    ("env 0", '"supervisor exec NAME -- env"'),
    ("ping", '"supervisor status"'),
]
DONE = {
    "status", "stop", "start", "restart", "tail", "version", "help", "ps", "logs", "kill -s", "list-units",
    "journalctl", "list", "l", "sendSignal", "list-dependencies", "describe", "info",
}  # fmt: skip
"""The words that are run; all other lines are answered, and change nothing."""


def done(line: str) -> bool:
    words = line.split()
    answered = any(option in words for option in ("--watch", "-i", "--no-pager"))
    return (words[0] in DONE or " ".join(words[:2]) in DONE) and not answered


def test_what_is_typed_in_four_other_tools_is_done_or_answered(
    daemon: Callable[..., Daemon], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    running = daemon(SERVICES)
    running.cli("wait")
    monkeypatch.setenv("SUPERVISOR_SOCKET", str(running.runtime_dir / "control.sock"))
    monkeypatch.chdir(running.directory)
    lines = SUPERVISORCTL + COMPOSE + SYSTEMCTL + PM2
    assert len(lines) >= 60
    misses = []
    for line, said in lines:
        code = main(line.split())
        out, err = capsys.readouterr()
        if (code == 0) != done(line) or said not in (out + err if done(line) else err):
            misses.append((line, code, out[-300:] + err))
    assert misses == []
    assert main(["shutdown"]) == 0
    assert running.wait() == 0
