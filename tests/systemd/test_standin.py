"""Under a double of the service manager, which runs everywhere and reports each message that it gets."""

from __future__ import annotations

import json
import os
import random
import re
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor.client import Client
from tests.doubles.fake_service_manager import PATIENCE, Manager
from tests.systemd.conftest import until

LINES = 500
SLEEPER = '[services.sleeper]\ncommand = ["sleep", "1000"]\n'
FULL = list(range(1, LINES + 1))
KILLS = 8
CHATTY = ("a", "b", "c")
MakeHouse = Callable[..., "House"]


class House:
    """A manager, the file of the supervisor that it starts, and that supervisor's API."""

    def __init__(self, place: Path, services: str, watchdog: float | None) -> None:
        self.place = place
        self.file = place / "services.toml"
        self.write(services)
        self.manager = Manager(place, self.file, watchdog)
        self.client = Client(str(place / "r" / "control.sock"))

    def write(self, services: str) -> None:
        head = f'[supervisor]\nname = "test"\nruntime_dir = "{self.place}/r"\nstate_dir = "{self.place}/s"\n'
        self.file.write_text(head + services)

    def ready(self) -> None:
        self.manager.hear(lambda message: message == "READY=1")

    def status(self, text: str) -> None:
        self.manager.hear(lambda message: message == f"STATUS={text}")

    def rows(self) -> dict[str, Any]:
        return {row["name"]: row for row in self.client.get("/v1/status")["instances"]}


def size(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0


@pytest.fixture
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeHouse]:
    made: list[House] = []

    def make(services: str, watchdog: float | None = None) -> House:
        made.append(House(tmp_path_factory.mktemp("m"), services, watchdog))
        made[-1].manager.start()
        return made[-1]

    yield make
    for one in made:
        one.manager.close()


def test_ready_comes_last_and_status_as_it_goes(house: MakeHouse, tmp_path: Path) -> None:
    go = tmp_path / "go"
    probe = f'ready = {{ exec = ["test", "-e", "{go}"], interval = "20ms" }}\n'
    one = house('[services.slow]\ncommand = ["sleep", "1000"]\n' + probe + SLEEPER)
    one.manager.hear(lambda message: message == "EXTEND_TIMEOUT_USEC=30000000")
    one.status("starting: 1 of 2 ready; slow starting")
    assert "READY=1" not in one.manager.messages
    go.touch()
    one.ready()
    one.status("2 of 2 ready")
    for far in re.findall(r"did not run for ([0-9.]+) s", one.manager.said.read_text()):
        assert float(far) < PATIENCE  # no timer of the daemon was long overdue


def test_a_child_hears_nothing_of_it(house: MakeHouse, tmp_path: Path) -> None:
    told = tmp_path / "told"
    one = house(
        f'[services.teller]\ncommand = ["sh", "-c", "env > {told}.new; mv {told}.new {told}"]\ntype = "oneshot"\n'
    )
    one.ready()
    names = {line.partition("=")[0] for line in told.read_text().splitlines()}
    assert "SUPERVISOR_INSTANCE" in names
    assert not names & {"NOTIFY_SOCKET", "WATCHDOG_USEC", "LISTEN_FDS", "LISTEN_PID"}


def test_beats_come_from_a_loop_that_turns(house: MakeHouse) -> None:
    one = house(SLEEPER, watchdog=0.2)
    one.ready()
    for _ in range(3):
        one.manager.hear(lambda message: message == "WATCHDOG=1")
    one.manager.signal(signal.SIGSTOP)
    assert one.manager.process is not None
    os.waitid(os.P_PID, one.manager.process.pid, os.WSTOPPED)
    one.manager.hush()
    assert one.manager.silent(0.5)
    one.manager.signal(signal.SIGCONT)
    one.manager.hear(lambda message: message == "WATCHDOG=1")


def test_without_a_watchdog_it_is_silent_while_nothing_happens(house: MakeHouse) -> None:
    one = house(SLEEPER)
    one.status("1 of 1 ready")
    one.manager.hush()
    assert one.manager.silent(1.5)
    assert one.manager.messages.count("WATCHDOG=1") <= 1


def test_reload_and_end(house: MakeHouse) -> None:
    one = house(SLEEPER)
    one.ready()
    one.write(SLEEPER + '[services.stubborn]\ncommand = ["sh", "-c", "trap : TERM; while :; do sleep 9; done"]\n')
    one.client.post("/v1/reload", {"dry_run": True})
    one.client.post("/v1/reload", {"dry_run": False})
    one.manager.hear(lambda message: message.startswith("RELOADING=1\nMONOTONIC_USEC="))
    one.ready()
    one.status("2 of 2 ready")
    one.write("nonsense")
    one.manager.signal(signal.SIGHUP)
    one.manager.hear(lambda message: message.startswith("RELOADING=1"))
    one.ready()
    assert sum(message.startswith("RELOADING=1") for message in one.manager.messages) == 2
    one.manager.signal(signal.SIGTERM)
    one.manager.hear(lambda message: message == "STOPPING=1")
    one.manager.hear(lambda message: message.startswith("EXTEND_TIMEOUT_USEC="))
    one.manager.hear(lambda message: message.startswith("STATUS=stopping: ") and message.endswith(" left: stubborn"))
    one.manager.signal(signal.SIGTERM)  # and now in earnest
    assert one.manager.wait() == 0
    one.manager.hush()
    assert one.manager.store == []


def test_a_crash_loses_nothing(house: MakeHouse, tmp_path: Path) -> None:
    """The service writes and ends while its supervisor is stopped; only the store holds its pipe then."""
    order = tmp_path / "order"
    os.mkfifo(order)
    script = tmp_path / "speak.py"
    script.write_text(
        "import os, sys\nos.write(1, b'begin\\n')\ncount = int(open(sys.argv[1]).read())\n"
        "os.write(1, b''.join(b'line %d\\n' % n for n in range(count)))\n"
    )
    one = house(
        f'[services.speaker]\ncommand = ["{sys.executable}", "{script}", "{order}"]\nrestart = {{ policy = "never" }}\n'
        + SLEEPER
    )
    one.ready()
    before = one.rows()
    pidfd = os.pidfd_open(before["speaker"]["pid"])
    one.manager.signal(signal.SIGSTOP)
    assert one.manager.process is not None
    os.waitid(os.P_PID, one.manager.process.pid, os.WSTOPPED)
    order.write_text(str(LINES))
    assert select.select([pidfd], [], [], PATIENCE)[0]
    os.close(pidfd)
    one.manager.signal(signal.SIGKILL)
    assert one.manager.wait() == -signal.SIGKILL
    one.manager.hush()
    names = sorted(name for name, _ in one.manager.store)
    assert names == ["control", "fifo%3Asleeper", "fifo%3Aspeaker", "notify"]
    one.manager.messages.clear()
    one.manager.start()
    one.ready()
    one.status("1 of 2 ready; speaker exited")  # at once, or after it was found as a zombie and taken for alive
    assert not any(message.startswith("FDSTORE") for message in one.manager.messages)
    after = one.rows()
    assert after["sleeper"]["pid"] == before["sleeper"]["pid"]
    output = (one.place / "s" / "log" / "speaker.log").read_text().splitlines()
    assert output == ["begin", *(f"line {n}" for n in range(LINES))]


def test_no_line_is_lost_however_often_it_dies(house: MakeHouse, tmp_path: Path) -> None:
    """Incarnations come and go all the while, and say elsewhere that they began and ended: what they say to us is to be
    complete."""
    mark = f"{tmp_path}/$SUPERVISOR_INSTANCE.$SUPERVISOR_INCARNATION"
    script = f': > {mark}.began; for n in $(seq {LINES}); do echo "$SUPERVISOR_INCARNATION $n"; done; : > {mark}.ended'
    services = "".join(
        f'[services.{name}]\ncommand = ["sh", "-c", \'{script}\']\n'
        'restart = { policy = "always", backoff = "fixed", initial = "10ms", max_restarts = 1000000 }\n'
        for name in CHATTY
    )
    one = house(services)
    dice = random.Random(7)
    logs = {name: one.place / "s" / "log" / f"{name}.log" for name in CHATTY}

    def which(name: str, what: str) -> set[int]:
        return {int(path.name.split(".")[1]) for path in tmp_path.glob(f"{name}.*.{what}")}

    def goes_on() -> None:
        """All of them end once more, and some more is said."""
        goals = {name: len(which(name, "ended")) + 1 for name in CHATTY}
        until(lambda: all(len(which(name, "ended")) >= goal for name, goal in goals.items()))
        enough = sum(map(size, logs.values())) + 1 + dice.randrange(20_000)
        until(lambda: sum(map(size, logs.values())) >= enough)

    for _ in range(KILLS):
        goes_on()
        one.manager.signal(signal.SIGKILL)
        one.manager.wait()
        one.manager.hush()
        one.manager.start()
    goes_on()
    one.manager.signal(signal.SIGTERM)
    assert one.manager.wait() == 0
    for name, log in logs.items():
        said: dict[int, list[int]] = {}
        for line in log.read_text().splitlines():
            incarnation, number = map(int, line.split())
            said.setdefault(incarnation, []).append(number)
        began, ended = which(name, "began"), which(name, "ended")
        assert len(ended) > KILLS
        assert began - ended <= {max(began)}  # the last one was ended by us
        assert {n: said.get(n) for n in ended if said.get(n) != FULL} == {}
        assert said.keys() <= began


def test_an_upgrade_speaks_on(house: MakeHouse) -> None:
    one = house(SLEEPER, watchdog=0.5)
    one.ready()
    command = [sys.executable, "-m", "supervisor", "upgrade", "-f", str(one.file), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert json.loads(done.stdout)["pid"] == one.manager.process.pid if one.manager.process else 0
    one.manager.hush()
    one.manager.messages.clear()
    for _ in range(2):
        one.manager.hear(lambda message: message == "WATCHDOG=1")
    one.manager.hush()
    assert sorted(name for name, _ in one.manager.store) == ["control", "fifo%3Asleeper", "notify"]
