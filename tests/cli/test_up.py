"""`run`, `up` and `down` with the real daemon, and the commands that work without one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from supervisor.client import Client

TIMEOUT = 60.0
FILE = """
[supervisor]
runtime_dir = "run"
state_dir = "state"

[services.base]
command = ["sleep", "1000"]

[services.web]
command = ["sleep", "1000"]
depends_on = ["base"]

[services.spare]
command = ["sleep", "1000"]
"""
CRASHES = """
[services.crash]
command = ["false"]
[services.after-crash]
command = ["sleep", "1000"]
depends_on = ["crash"]
[services.crash.ready]
delay = "1h"
[services.crash.restart]
policy = "never"
"""

Supervisor = Callable[..., "subprocess.CompletedProcess[str]"]
COMMAND = [sys.executable, "-m", "supervisor"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "services.toml").write_text(FILE)
    return tmp_path


def environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith(("SUPERVISOR_", "COVERAGE", "NO_COLOR"))}


@pytest.fixture
def supervisor(home: Path) -> Iterator[Supervisor]:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*COMMAND, *arguments], cwd=home, capture_output=True, text=True, timeout=TIMEOUT, env=environment()
        )
        assert "Traceback" not in done.stderr
        return done

    yield run
    if (home / "run/control.sock").exists():
        run("stop")
        run("down")


def states(supervisor: Supervisor) -> dict[str, str]:
    rows = json.loads(supervisor("status", "--json").stdout)["instances"]
    return {row["name"]: row["state"] for row in rows}


def test_up_detached_and_down(supervisor: Supervisor, home: Path) -> None:
    up = supervisor("up", "-d")
    assert up.returncode == 0, up.stderr
    assert "3 of 3 ready" in up.stdout
    assert states(supervisor) == {"base": "running", "web": "running", "spare": "running"}
    pid = Client(f"{home}/run/control.sock").daemon_pid()
    again = supervisor("up", "-d")
    assert again.returncode == 0
    assert "already running" in again.stdout
    assert Client(f"{home}/run/control.sock").daemon_pid() == pid
    down = supervisor("down")
    assert down.returncode == 0, down.stderr
    assert supervisor("status").returncode == 5


def test_up_of_some_services_starts_what_they_need(supervisor: Supervisor) -> None:
    assert supervisor("up", "-d", "web").returncode == 0
    assert states(supervisor) == {"base": "running", "web": "running", "spare": "stopped"}
    assert supervisor("up", "-d", "spare").returncode == 0
    assert states(supervisor)["spare"] == "running"


def test_up_detached_names_what_failed(supervisor: Supervisor, home: Path) -> None:
    (home / "services.toml").write_text(FILE + CRASHES)
    up = supervisor("up", "-d")
    assert up.returncode == 1
    assert "2 of 5 did not become ready" in up.stderr
    assert "crash: exited with code 1" in up.stderr
    assert "after-crash: it waits for crash, which has failed" in up.stderr
    assert "web  ready" in up.stdout
    assert states(supervisor)["web"] == "running"


NUMBERED = """
[services.n]
command = ["sh", "-c", "echo $0 $ID; touch said-$0; exec sleep 1000", "{replica}"]
environment = { ID = "id-{replica}" }
replicas = 2
first_replica = 0
ready = { exec = ["test", "-e", "said-{replica}"] }
"""


def test_a_replica_gets_its_number(supervisor: Supervisor, home: Path) -> None:
    (home / "services.toml").write_text(FILE + NUMBERED)
    assert supervisor("up", "-d", "n").returncode == 0
    for name, said in (("n@1", "0 id-0"), ("n@2", "1 id-1")):
        assert said in supervisor("logs", name).stdout


ENDS_WITH_0 = """
[services.gone]
command = ["sh", "-c", "sleep 0.2"]
[services.background]
command = ["sh", "-c", "sleep 1000 & exit 0"]
[services.waits]
command = ["sleep", "1000"]
depends_on = ["early"]
[services.early]
command = ["true"]
ready.notify = true
restart = { max_restarts = 1, initial = "0s" }
"""


def test_a_service_that_ends_with_0_is_not_up(supervisor: Supervisor, home: Path) -> None:
    (home / "services.toml").write_text(FILE + ENDS_WITH_0)
    up = supervisor("up", "-d")
    assert up.returncode == 1
    assert "4 of 7 did not become ready" in up.stderr
    assert "gone: exited with code 0" in up.stderr
    assert "waits: it waits for early, which has failed" in up.stderr
    status = supervisor("status", "gone", "background")
    assert status.returncode == 3
    assert status.stdout.count("exited with code 0; its policy does not restart it") == 1
    assert "left processes behind: went to the background?; its policy does not restart it" in status.stdout
    why = supervisor("why", "background").stdout
    assert "left processes behind: went to the background?" in why
    assert "option for the foreground" in why
    total = json.loads(supervisor("report", "--json").stdout)["total"]
    assert (total["recovered"], total["recovery_ratio"]) == (0, 0)


def test_up_with_a_broken_file_says_what_the_daemon_said(supervisor: Supervisor, home: Path) -> None:
    (home / "services.toml").write_text(FILE.replace("depends_on", "depend_on"))
    up = supervisor("up", "-d")
    assert up.returncode == 2
    assert "services.toml:11" in up.stderr
    assert "depends_on" in up.stderr


def test_up_of_a_service_that_is_not_there(supervisor: Supervisor) -> None:
    up = supervisor("up", "-d", "wbe")
    assert up.returncode == 4
    assert "wbe" in up.stderr
    assert supervisor("status").returncode == 5


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_up_without_a_terminal_tells_events_until_it_is_told_to_stop(home: Path, how: signal.Signals) -> None:
    up = subprocess.Popen(
        [*COMMAND, "up"], cwd=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    )
    assert up.stdout is not None
    running: set[str] = set()
    while running != {"base", "web", "spare"}:
        line = up.stdout.readline()
        assert line, up.stderr and up.stderr.read()
        if "→ running" in line:
            running.add(line.split()[2])
    up.send_signal(how)
    out, err = up.communicate(timeout=TIMEOUT)
    assert up.returncode == 0, err
    assert out.count("→ stopped") == 3
    assert subprocess.run([*COMMAND, "status"], cwd=home, capture_output=True, env=environment()).returncode == 5


def test_up_tells_only_of_its_own_time(supervisor: Supervisor, home: Path) -> None:
    supervisor("up", "-d")
    supervisor("down")
    before = len(supervisor("events", "--json", "-n", "1000").stdout.splitlines())
    up = subprocess.Popen([*COMMAND, "up"], cwd=home, stdout=subprocess.PIPE, text=True, env=environment())
    assert up.stdout is not None
    told = [up.stdout.readline()]
    up.terminate()
    told += up.stdout  # not communicate: it would lose what the first line brought along into the buffer
    up.wait(TIMEOUT)
    after = len(supervisor("events", "--json", "-n", "1000").stdout.splitlines())
    assert len(told) == after - before


def test_up_says_when_the_daemon_dies(home: Path, supervisor: Supervisor) -> None:
    up = subprocess.Popen(
        [*COMMAND, "up"], cwd=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    )
    assert up.stdout is not None
    up.stdout.readline()
    os.kill(Client(f"{home}/run/control.sock").daemon_pid(), signal.SIGKILL)
    _, err = up.communicate(timeout=TIMEOUT)
    assert up.returncode == 1
    assert "daemon.log" in err
    assert supervisor("up", "-d").returncode == 0  # takes up what still runs, so that it can be stopped


def test_run_is_the_daemon_itself(home: Path) -> None:
    run = subprocess.Popen(
        [*COMMAND, "run", "--log-format", "json"], cwd=home, stderr=subprocess.PIPE, text=True, env=environment()
    )
    assert run.stderr is not None
    seen: set[str] = set()
    while seen != {"base", "web", "spare"}:
        event = json.loads(run.stderr.readline())
        if event.get("to") == "running":
            seen.add(event["instance"])
    assert Client(f"{home}/run/control.sock").daemon_pid() == run.pid
    run.terminate()
    run.communicate(timeout=TIMEOUT)
    assert run.returncode == 0


def test_history_without_a_daemon(supervisor: Supervisor) -> None:
    supervisor("up", "-d")
    supervisor("down")
    events = supervisor("events", "--json", "web")
    assert events.returncode == 0
    assert "no daemon answers" in events.stderr
    assert json.loads(events.stdout.splitlines()[-1])["to"] == "stopped"
    report = supervisor("report", "--json")
    assert report.returncode == 0
    assert {account["service"] for account in json.loads(report.stdout)["services"]} == {"base", "web", "spare"}
    table = supervisor("report").stdout
    assert "AVAILABLE" in table
    assert "web " in table
    assert supervisor("events", "-f").returncode == 5


def test_no_daemon_and_no_ledger_is_exit_5(supervisor: Supervisor) -> None:
    for command in (["events"], ["report"], ["why", "web"]):
        assert supervisor(*command).returncode == 5


def test_why_tells_the_story_with_and_without_a_daemon(supervisor: Supervisor, home: Path) -> None:
    words = 'command = ["sh", "-c", "echo cannot reach db; exit 1"]'
    (home / "services.toml").write_text(FILE + CRASHES.replace('command = ["false"]', words))
    supervisor("up", "-d")
    story = supervisor("why", "crash")
    assert story.returncode == 0, story.stderr
    assert "code 1" in story.stdout
    assert "  output    cannot reach db\n" in story.stdout
    assert supervisor("why", "crsh").returncode == 4
    supervisor("down")
    later = supervisor("why", "crash")
    assert later.returncode == 0, later.stderr
    assert "code 1" in later.stdout
    assert "  output    cannot reach db\n" in later.stdout
    assert "no daemon answers" in later.stderr
