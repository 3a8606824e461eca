"""The daemon dies while its configuration cannot be used: what ran is taken up under the plan that was in force."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable

import pytest

from tests.e2e.conftest import Daemon, wait_gone

Start = Callable[..., Daemon]
TWO = '[services.a]\ncommand = ["sleep", "1000"]\n[services.b]\ncommand = ["sleep", "1000"]\n'


def spoil_syntax(one: Daemon) -> None:
    one.write(TWO + "[[[")


def spoil_key(one: Daemon) -> None:
    one.write(TWO + "nonsense = 1\n")


def spoil_directories(one: Daemon) -> None:
    one.file.write_text(one.file.read_text().replace('state_dir = "', "state_dir = "))


def empty(one: Daemon) -> None:
    one.file.write_text("")


def remove(one: Daemon) -> None:
    one.file.unlink()


def killed(daemon: Start) -> tuple[Daemon, int]:
    """A daemon that was killed while `a` ran and `b` was stopped by an order; with the pid of `a`."""
    one = daemon(TWO)
    pid = one.event("a", "running")["detail"]["pid"]
    assert one.cli("stop", "b").returncode == 0
    one.signal(signal.SIGKILL)
    one.wait()
    return one, pid


@pytest.mark.parametrize("spoil", [spoil_syntax, spoil_key, spoil_directories, empty, remove])
def test_what_ran_is_taken_up_and_the_next_good_file_takes_over(daemon: Start, spoil: Callable[[Daemon], None]) -> None:
    one, pid = killed(daemon)
    spoil(one)
    one.start(wait=False)
    refused = one.problem("the configuration is refused")["message"]
    assert str(one.file) in refused
    assert one.event("a", "running", "adopted")["detail"]["pid"] == pid
    assert one.status("b")["state"] == "stopped", "an order holds"
    supervisor = one.client.get("/v1/status")["supervisor"]
    assert supervisor["problems"] == [refused]
    assert "! the configuration is refused" in one.cli("status").stderr
    assert one.cli("status").returncode == 0, "commands find it although the file does not say where"
    os.kill(pid, signal.SIGKILL)
    one.event("a", "backoff")
    one.event("a", "running")
    again = one.cli("reload")
    assert again.returncode == 2
    one.write(TWO + '[services.c]\ncommand = ["sleep", "1000"]\n')
    assert one.cli("reload").returncode == 0
    one.event("c", "running")
    assert one.client.get("/v1/status")["supervisor"]["problems"] == []
    assert one.status("b")["state"] == "stopped"


def test_up_says_that_the_file_is_refused(daemon: Start) -> None:
    one = daemon('[services.one]\ncommand = ["sleep", "1000"]\n')
    one.event("one", "running")
    one.signal(signal.SIGKILL)
    one.wait()
    one.file.write_text(one.file.read_text() + "\nx = [\n")
    result = one.cli("up", "-d")
    assert result.returncode == 0 and "! the configuration is refused" in result.stderr
    assert one.cli("down").returncode == 0


def test_a_truly_cold_start_is_refused(daemon: Start) -> None:
    one = daemon(TWO + "nonsense = 1\n", start=False)
    assert one.cli("run").returncode == 2
    one.write(TWO)
    one.start()
    one.event("b", "running")
    assert one.stop() == 0
    one.write(TWO + "nonsense = 1\n")
    refused = one.cli("run")
    assert refused.returncode == 2, "nothing was left to be taken up"
    assert "nonsense" in refused.stderr


def test_without_the_plan_it_is_told_what_runs_and_a_good_file_takes_it_up(daemon: Start) -> None:
    one, pid = killed(daemon)
    text = one.file.read_text()
    one.file.unlink()
    (one.runtime_dir / "plan.json").unlink()
    refused = one.cli("run")
    assert refused.returncode == 1, "2 would keep a service manager from trying again"
    assert f"a (pid {pid})" in refused.stderr and "plan.json" in refused.stderr and str(one.file) in refused.stderr
    one.file.write_text(text)
    one.start(wait=False)
    assert one.event("a", "running", "adopted")["detail"]["pid"] == pid


def test_a_daemon_that_runs_is_not_replaced(daemon: Start) -> None:
    one = daemon(TWO)
    pid = one.event("a", "running")["detail"]["pid"]
    remove(one)
    second = one.cli("run")
    assert second.returncode == 1 and "already runs" in second.stderr
    assert one.status("a")["pid"] == pid
    assert one.stop() == 0
    wait_gone(pid)


def test_what_a_reload_took_out_is_not_started_again(daemon: Start) -> None:
    one = daemon(TWO)
    one.event("b", "running")
    one.write('[services.a]\ncommand = ["sleep", "1000"]\n')
    assert one.cli("reload").returncode == 0
    one.event("b", "stopped", "stopped")
    one.signal(signal.SIGKILL)
    one.wait()
    spoil_syntax(one)
    one.start(wait=False)
    one.problem("the configuration is refused")
    one.event("a", "running", "adopted")
    assert [row["name"] for row in one.client.get("/v1/status")["instances"]] == ["a"]


def test_the_plan_that_is_recreated_has_what_is_still_ending(daemon: Start) -> None:
    stubborn = '[services.b]\ncommand = ["sh", "-c", "trap : TERM; echo here; while :; do sleep 1000; done"]\n'
    one = daemon(f'{stubborn}stop_timeout = "1000s"\nready.log = "here"\n')
    one.event("b", "running")
    pid = one.status("b")["pid"]
    one.write('[services.a]\ncommand = ["sleep", "1000"]\n')
    assert one.cli("reload").returncode == 0
    one.event("b", "stopping", "removed")
    (one.runtime_dir / "plan.json").unlink()
    one.problem("was removed from")
    kept = json.loads((one.runtime_dir / "plan.json").read_text())
    assert [service["name"] for service in kept["services"]] == ["b", "a"]
    os.kill(pid, signal.SIGKILL)  # else the end of the test waits for it
