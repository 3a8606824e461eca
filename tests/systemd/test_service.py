"""Under a real systemd: what `systemctl` shows and does, and that a killed supervisor costs nothing."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.systemd.conftest import PATIENCE, Machine, Unit, until

MakeUnit = Callable[..., Unit]

SLEEPER = '[services.sleeper]\ncommand = ["sleep", "1000"]\n'
FEW_LINES = 500
CAP_SYS_RESOURCE = 24
CHATTER = """
import os, sys
order, told = sys.argv[1:]
number = 0
def speak(count):
    global number
    for _ in range(count):
        number += 1
        os.write(1, b"line %d\\n" % number)
speak(3)
with open(order) as file:  # blocks until somebody writes
    count = int(file.read())
speak(count)
os.close(1)
os.close(2)
with open(told, "w"):
    pass
"""


def has_capability(number: int) -> bool:
    (line,) = (text for text in Path("/proc/self/status").read_text().splitlines() if text.startswith("CapEff:"))
    return bool(int(line.split()[1], 16) >> number & 1)


def test_it_is_active_when_its_services_are_ready(unit: MakeUnit, tmp_path: Path) -> None:
    go = tmp_path / "go"
    one = unit(
        "ready",
        f"""
[services.slow]
command = ["sleep", "1000"]
[services.slow.ready]
exec = ["test", "-e", "{go}"]
interval = "50ms"
"""
        + SLEEPER,
    )
    one.systemctl("start", "--no-block")
    until(lambda: one.show("StatusText") == "starting: 1 of 2 ready; slow starting")
    assert one.show("ActiveState") == "activating"
    go.touch()
    one.systemctl("start")  # returns with the job that is under way
    assert one.show("ActiveState") == "active"
    until(lambda: one.show("StatusText") == "2 of 2 ready")
    assert int(one.show("NRestarts")) == 0
    assert one.show("NFileDescriptorStore") == "4"  # two pipes, the control socket, the notify socket


def test_it_is_active_when_a_service_has_failed_for_good(unit: MakeUnit) -> None:
    one = unit(
        "failed", '[services.bad]\ncommand = ["false"]\nrestart = { max_restarts = 1, initial = "1ms" }\n' + SLEEPER
    )
    one.systemctl("start")
    until(lambda: one.show("StatusText") == "1 of 2 ready; bad failed")


def test_it_is_active_at_once_if_told_not_to_wait(unit: MakeUnit) -> None:
    one = unit("nowait", "wait_ready = false\n" + SLEEPER + 'ready = { exec = ["false"] }\nstart_timeout = "1h"\n')
    one.systemctl("start")
    assert one.rows()["sleeper"]["state"] == "starting"


def test_an_error_in_the_file_is_not_tried_again(unit: MakeUnit) -> None:
    one = unit("wrong", SLEEPER)
    one.write(SLEEPER + "nonsense = 1\n")
    one.systemctl("start", check=False)
    assert one.show("ActiveState") == "failed"
    assert one.show("NRestarts") == "0"
    assert one.show("ExecMainStatus") == "2"
    one.systemctl("reset-failed")


@pytest.mark.parametrize("way", ["killed", "stopped"])
def test_a_dead_supervisor_costs_nothing(unit: MakeUnit, machine: Machine, tmp_path: Path, way: str) -> None:
    """Neither a process nor a line, also of a service that ended while no daemon ran."""
    order, told, script = tmp_path / "order", tmp_path / "told", tmp_path / "chatter.py"
    script.write_text(CHATTER)
    for pipe in (order, told):
        machine.run("mkfifo", str(pipe))
    one = unit(
        way,
        f'[services.chatter]\ncommand = ["{sys.executable}", "{script}", "{order}", "{told}"]\n'
        'restart = { policy = "never" }\n' + SLEEPER,
        "WatchdogSec=6s\n" if way == "stopped" else "",
    )
    one.systemctl("start")
    before, pid = one.rows(), one.pid
    until(lambda: len(one.log("chatter")) == 3)
    one.freeze()
    order.write_text(str(FEW_LINES))  # 5 kB: the pipe holds them
    told.read_text()
    until(lambda: machine.is_dead(before["chatter"]["pid"]))
    assert len(one.log("chatter")) == 3 or one.pid != pid  # after a pause the watchdog may have come first
    if way == "killed":
        one.signal(signal.SIGKILL)
    one.replaced(pid)
    after = one.rows()
    assert after["sleeper"]["pid"] == before["sleeper"]["pid"]
    assert after["sleeper"]["incarnation"] == 1
    assert after["chatter"]["state"] == "exited"
    assert one.log("chatter") == [f"line {n + 1}" for n in range(3 + FEW_LINES)]
    assert one.show("NRestarts") == "1"
    assert one.show("NFileDescriptorStore") == "4"
    assert one.show("Result") == "success"


def test_the_store_neither_grows_nor_keeps_what_is_gone(unit: MakeUnit) -> None:
    one = unit("store", SLEEPER + '[services.other]\ncommand = ["sleep", "1000"]\n')
    one.systemctl("start")
    for _ in range(3):
        pid = one.pid
        one.signal(signal.SIGKILL)
        one.replaced(pid)
        assert one.show("NFileDescriptorStore") == "4"
    one.cli("upgrade")
    until(lambda: one.show("StatusText") == "2 of 2 ready")
    one.write(SLEEPER)
    one.systemctl("reload")
    until(lambda: one.show("NFileDescriptorStore") == "3")


def test_reload(unit: MakeUnit) -> None:
    one = unit("reload", SLEEPER)
    one.systemctl("start")
    before, pid = one.rows(), one.pid
    one.write(SLEEPER + '[services.more]\ncommand = ["sleep", "1000"]\n')
    one.systemctl("reload")
    assert one.show("ActiveState") == "active"
    after = one.rows()
    assert set(after) == {"sleeper", "more"}
    assert (after["sleeper"]["pid"], one.pid) == (before["sleeper"]["pid"], pid)
    one.write("nonsense")
    one.systemctl("reload", check=False)
    until(lambda: one.show("ActiveState") == "active")
    assert set(one.rows()) == {"sleeper", "more"}


def test_a_signal_reloads_it_too(unit: MakeUnit) -> None:
    one = unit("hangup", SLEEPER)
    one.systemctl("start")
    one.write(SLEEPER + '[services.more]\ncommand = ["sleep", "1000"]\n')
    one.signal(signal.SIGHUP)
    until(lambda: set(one.rows()) == {"sleeper", "more"})
    until(lambda: one.show("StatusText") == "2 of 2 ready")
    assert one.show("ActiveState") == "active"


def test_upgrade_keeps_it_active_and_watched(unit: MakeUnit) -> None:
    one = unit("upgrade", SLEEPER, "WatchdogSec=6s\n")
    one.systemctl("start")
    before, pid = one.rows(), one.pid
    beat = int(one.show("WatchdogTimestampMonotonic"))
    one.cli("upgrade")
    assert (one.show("ActiveState"), one.pid, one.show("NRestarts")) == ("active", pid, "0")
    assert one.rows()["sleeper"]["pid"] == before["sleeper"]["pid"]
    until(lambda: int(one.show("WatchdogTimestampMonotonic")) > beat + 15_000_000)  # two and a half times its patience
    assert one.pid == pid
    one.signal(signal.SIGKILL)
    one.replaced(pid)
    assert one.rows()["sleeper"]["pid"] == before["sleeper"]["pid"]


def test_stop_ends_everything(unit: MakeUnit, machine: Machine) -> None:
    """Also what went its own ways, and with more time than the unit gives, since it asks for it."""
    wayward = "(setsid sh -c 'trap : TERM; while :; do sleep 1000; done' &) ; exec sleep 1000"
    one = unit(
        "stop",
        f'[services.wayward]\ncommand = ["sh", "-c", {wayward!r}]\nstop_timeout = "100ms"\n'
        '[services.slow]\ncommand = ["sh", "-c", "trap \'sleep 4; exit\' TERM; while :; do sleep 0.1; done"]\n',
        "TimeoutStopSec=2s\n",
    )
    one.systemctl("start")
    assert len(one.rows()) == 2
    one.systemctl("stop")
    assert one.show("Result") == "success"
    assert one.show("ActiveState") == "inactive"
    assert machine.supervised() == []
    assert "populated 0" in machine.run("cat", "/sys/fs/cgroup/system.slice/cgroup.events")
    assert one.show("NFileDescriptorStore") == "0"


def test_what_a_broken_stop_left_is_not_doubled(unit: MakeUnit, machine: Machine) -> None:
    stubborn = "trap '' TERM; echo deaf; exec sleep 1000"
    one = unit("broken", f'[services.stubborn]\ncommand = ["sh", "-c", "{stubborn}"]\nstop_timeout = "6s"\n')
    one.systemctl("start")
    until(lambda: one.log("stubborn") == ["deaf"])
    before = one.rows()["stubborn"]["pid"]
    one.systemctl("stop", "--no-block")
    until(lambda: one.rows()["stubborn"]["state"] == "stopping")
    one.signal(signal.SIGKILL)
    until(lambda: one.show("ActiveState") == "failed")
    assert machine.supervised() == [f"/proc/{before}/environ"]
    one.systemctl("start")
    after = one.rows()["stubborn"]
    assert after["state"] == "running"
    assert machine.supervised() == [f"/proc/{after['pid']}/environ"]
    assert after["pid"] != before


def test_restart_begins_anew(unit: MakeUnit) -> None:
    one = unit("restart", SLEEPER)
    one.systemctl("start")
    before, pid = one.rows(), one.pid
    one.systemctl("restart")
    assert one.pid != pid
    assert one.rows()["sleeper"]["pid"] != before["sleeper"]["pid"]
    assert one.cli("status")


def test_its_own_down_is_no_failure(unit: MakeUnit) -> None:
    one = unit("down", SLEEPER)
    one.systemctl("start")
    one.cli("down")
    until(lambda: one.show("ActiveState") == "inactive")
    assert one.show("NRestarts") == "0"


def test_sockets_stay_open_while_nobody_is_there(unit: MakeUnit, machine: Machine, tmp_path: Path) -> None:
    """The service dies with its supervisor: a client that connects before the next start is answered after it."""
    server = tmp_path / "server.py"
    server.write_text(
        "import socket\nlistening = socket.socket(fileno=3)\nwhile True:\n"
        "    connection = listening.accept()[0]\n    connection.sendall(b'hello')\n    connection.close()\n"
    )
    one = unit(
        "sockets",
        f'[services.web]\ncommand = ["{sys.executable}", "{server}"]\nsockets = ["tcp://127.0.0.1:8123"]\n'
        'restart = { initial = "1ms" }\n',
    )
    one.systemctl("start")
    ask = [
        *(sys.executable, "-c"),
        f"import socket; s = socket.create_connection(('127.0.0.1', 8123), {PATIENCE}); print(s.recv(99).decode())",
    ]
    assert machine.run(*ask) == "hello"
    pid, web = one.pid, one.rows()["web"]["pid"]
    one.freeze()
    machine.run("kill", "-9", str(web))
    until(lambda: machine.is_dead(web))
    one.signal(signal.SIGKILL)
    assert machine.run(*ask) == "hello"
    one.replaced(pid)
    assert one.rows()["web"]["pid"] != web
    one.cli("stop", "web")  # now no client may be let in, although systemd may hold the socket for another moment
    assert machine.run(*ask, check=False) == ""
    one.cli("start", "web")
    assert machine.run(*ask) == "hello"
    assert one.rows()["web"]["restarts"] <= 1


def test_services_get_what_is_theirs(unit: MakeUnit, machine: Machine) -> None:
    """Not what the unit sets for the supervisor; but the sandbox holds for both."""
    tell = "umask; ulimit -Sn; touch /usr/x 2>/dev/null || echo denied; exec sleep 1000"
    one = unit("theirs", f'[services.teller]\ncommand = ["sh", "-c", "{tell}"]\n')
    one.systemctl("start")
    until(lambda: len(one.log("teller")) == 3)
    assert one.log("teller") == ["0077", "1024", "denied"]
    teller = one.rows()["teller"]["pid"]
    if has_capability(CAP_SYS_RESOURCE):  # else systemd silently goes without
        assert machine.run("cat", f"/proc/{one.pid}/oom_score_adj") == "-900"
    until(lambda: machine.run("cat", f"/proc/{teller}/oom_score_adj") == "0")
    home = rf"/system\.slice/{re.escape(one.name)}/[^/]+/teller$"  # which it is moved into a moment after its start
    until(lambda: re.search(home, machine.run("cat", f"/proc/{teller}/cgroup")))


def test_a_users_own_service_manager(unit: MakeUnit, machine: Machine) -> None:
    """Here root has one."""
    folder = machine.place / "user units"
    folder.mkdir()
    for target in ("basic", "shutdown", "default"):
        (folder / f"{target}.target").write_text("[Unit]\nDefaultDependencies=no\n")
    (machine.place / "units" / "manager.service").write_text(
        "[Service]\nType=notify\nKillSignal=SIGKILL\nDelegate=yes\n"
        "ExecStart=/lib/systemd/systemd --user --unit=basic.target\n"
        f'RuntimeDirectory=user/0\nEnvironment=XDG_RUNTIME_DIR=/run/user/0 "SYSTEMD_UNIT_PATH={folder}" HOME=/root\n'
    )
    machine.systemctl("daemon-reload")
    machine.systemctl("start", "manager.service")
    ask = ("env", "XDG_RUNTIME_DIR=/run/user/0", "systemctl", "--user", "--no-pager")
    one = unit("own", SLEEPER, units=folder, ask=ask)
    one.systemctl("start")
    before, pid = one.rows(), one.pid
    one.signal(signal.SIGKILL)
    one.replaced(pid)
    assert one.rows()["sleeper"]["pid"] == before["sleeper"]["pid"]
    one.systemctl("reload")
    one.systemctl("stop")
    assert one.show("ActiveState") == "inactive"
    assert machine.supervised() == []
    machine.systemctl("stop", "manager.service")
