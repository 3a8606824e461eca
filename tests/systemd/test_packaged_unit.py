"""The unit of the Debian package under a real systemd; only the paths of the program and of the file are others."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.systemd.conftest import Machine, Unit, until
from tests.systemd.test_service import SLEEPER, MakeUnit

TEMPLATE = Path(__file__).parents[2] / "packaging/deb/phi-supervisor@.service"
MORE = '[services.more]\ncommand = ["sleep", "1000"]\n'


def wait_for_lines(one: Unit, lines: list[str]) -> None:
    until(lambda: one.log("greeter") == lines)


def test_it_starts_reloads_comes_back_and_stops(unit: MakeUnit, machine: Machine) -> None:
    one = unit("packaged", SLEEPER, "WatchdogSec=6s\n", template=TEMPLATE)
    one.systemctl("start")
    until(lambda: one.show("StatusText") == "1 of 1 ready")
    assert one.show("ActiveState") == "active"
    before, pid = one.rows(), one.pid

    one.write(SLEEPER + MORE)
    one.systemctl("reload")
    until(lambda: one.show("StatusText") == "2 of 2 ready")
    assert one.pid == pid
    more = one.rows()["more"]["pid"]

    one.signal(signal.SIGKILL)  # it dies, its services live on
    one.replaced(pid)
    second = one.pid
    one.freeze()  # without a turn of its loop there is no sign of life
    one.replaced(second)
    after = one.rows()
    assert (after["sleeper"]["pid"], after["more"]["pid"]) == (before["sleeper"]["pid"], more)
    assert after["sleeper"]["incarnation"] == 1
    assert one.show("NRestarts") == "2"
    assert one.show("NFileDescriptorStore") == "4"  # two pipes, the control socket, the notify socket

    one.systemctl("stop")
    assert (one.show("ActiveState"), one.show("Result")) == ("inactive", "success")
    assert machine.is_dead(more) and machine.is_dead(after["sleeper"]["pid"])


def test_another_folder_is_another_instance(unit: MakeUnit) -> None:
    shop, blog = (unit(name, SLEEPER, template=TEMPLATE) for name in ("shop", "blog"))
    for one in (shop, blog):
        (one.place / "environment").write_text("GREETING=hello\n")
        one.write('[services.greeter]\ncommand = ["sh", "-c", "printenv GREETING; pwd; exec sleep 1000"]\n')
        one.systemctl("start")
    for one in (shop, blog):
        wait_for_lines(one, ["hello", str(one.place)])
    assert shop.pid != blog.pid


def test_without_a_file_nothing_is_started(unit: MakeUnit) -> None:
    one = unit("none", SLEEPER, template=TEMPLATE)
    one.file.unlink()
    one.systemctl("start")
    assert (one.show("ActiveState"), one.show("ConditionResult")) == ("inactive", "no")
