"""The daemon as PID 1 of a container: no other process reaps, and the kernel has no default actions for its signals."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from supervisor.adapters.linux import procfs
from supervisor.client import Client
from tests.systemd.conftest import PATIENCE, until

SLEEPER = '[services.sleeper]\ncommand = ["sleep", "1000"]\n'


class Container:
    """`supervisor run` as PID 1 of a pid namespace; `pid` is the number that it has outside."""

    def __init__(self, place: Path, services: str) -> None:
        file = place / "services.toml"
        head = f'[supervisor]\nname = "test"\nruntime_dir = "{place}/r"\nstate_dir = "{place}/s"\n'
        file.write_text(head + services)
        self.client = Client(str(place / "r" / "control.sock"))
        self.said = place / "said"
        with self.said.open("wb") as said:
            self.process = subprocess.Popen(
                [
                    *("unshare", "--pid", "--fork", "--mount-proc", "--kill-child"),
                    *(sys.executable, "-m", "supervisor", "run", "-f", str(file)),
                ],
                stdin=subprocess.DEVNULL,
                stderr=said,
                start_new_session=True,
            )
        self.pid = 0

    def is_daemon(self) -> bool:
        """Whether PID 1 has become the daemon, which may not have got far yet."""
        assert self.process.poll() is None, self.said.read_text()
        children = procfs.children(self.process.pid)
        self.pid = children[0] if children else 0
        return bool(self.pid) and b"supervisor.daemon" in (procfs.read(f"/proc/{self.pid}/cmdline") or b"")

    def up(self) -> Container:
        until(self.is_daemon)
        until(lambda: "sleeper          running" in self.said.read_text())
        return self

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self) -> int:
        """The exit code of PID 1, which `unshare` hands on."""
        return self.process.wait(PATIENCE)

    def end(self) -> None:
        with suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()


@pytest.fixture
def container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Container]]:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("only root, with unshare, can make a pid namespace")
    probe = ["unshare", "--pid", "--fork", "--mount-proc", "true"]
    if subprocess.run(probe, capture_output=True, check=False).returncode != 0:
        pytest.skip("pid namespaces cannot be made here")
    made: list[Container] = []

    def make(services: str) -> Container:
        made.append(Container(tmp_path_factory.mktemp("c"), services))
        return made[-1]

    yield make
    for one in made:
        one.end()


def test_orphans_are_reaped(container: Callable[[str], Container]) -> None:
    """Those of a service, and those that came in from outside (`docker exec`)."""
    orphans = "for i in 1 2 3 4 5 6 7 8 9; do (sh -c 'sleep 0.2; exit 7' &); done; exec sleep 1000"
    one = container(f'[services.parent]\ncommand = ["sh", "-c", "{orphans}"]\n' + SLEEPER).up()
    inside = ["nsenter", f"--target={one.pid}", "--pid", "--mount"]
    subprocess.run([*inside, "sh", "-c", "(sleep 0.2 &)"], check=True, timeout=PATIENCE, stdin=subprocess.DEVNULL)
    mains = {row["pid"] for row in one.client.get("/v1/status")["instances"]}
    assert len(mains) == 2
    until(lambda: len(procfs.children(one.pid)) == len(mains))
    assert "zombie" not in one.said.read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_an_orderly_end(container: Callable[[str], Container], number: int) -> None:
    polite = """["sh", "-c", "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done"]"""
    one = container(f"[services.polite]\ncommand = {polite}\nready = {{ log = '^up$' }}\n" + SLEEPER).up()
    until(lambda: "polite           running" in one.said.read_text())
    pidfd = os.pidfd_open(one.pid)
    one.signal(number)
    assert one.wait() == 0
    assert select.select([pidfd], [], [], 0)[0]
    os.close(pidfd)
    assert (one.said.parent / "s" / "log" / "polite.log").read_text() == "up\nbye\n"


def test_a_signal_that_comes_too_early_is_not_lost(container: Callable[[str], Container]) -> None:
    """`docker stop` right after `docker start`: before the daemon has any handler."""
    one = container(SLEEPER)
    until(one.is_daemon)
    one.signal(signal.SIGTERM)
    assert one.wait() == 0


def test_other_signals_do_not_end_it(container: Callable[[str], Container]) -> None:
    one = container(SLEEPER).up()
    for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE, signal.SIGALRM):
        one.signal(number)
    assert one.client.get("/v1/status")["supervisor"]["pid"] == 1
    one.signal(signal.SIGHUP)  # reads the file again
    until(lambda: "configuration reloaded" in one.said.read_text())


def test_down_ends_the_container(container: Callable[[str], Container]) -> None:
    one = container(SLEEPER).up()
    one.client.post("/v1/down", {})
    assert one.wait() == 0


def test_an_error_in_the_file_is_the_exit_code(container: Callable[[str], Container]) -> None:
    assert container("nonsense = 1\n").wait() == 2


def test_a_job_that_is_done_does_not_end_it(container: Callable[[str], Container]) -> None:
    one = container('[services.job]\ncommand = ["true"]\ntype = "oneshot"\n' + SLEEPER).up()
    until(lambda: "job              exited" in one.said.read_text())
    one.signal(signal.SIGTERM)
    assert one.wait() == 0
