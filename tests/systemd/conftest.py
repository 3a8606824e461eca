"""A machine of its own: namespaces in which a real systemd is PID 1, with nothing in it but what a test puts there."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

PATIENCE = 60.0
SYSTEMD = "/lib/systemd/systemd"
JSON = dict[str, Any]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "systemd" in item.path.parts:
            item.add_marker(pytest.mark.e2e)


class Machine:
    """`place`: its folder, which it shares with us, as it shares all but /run, /dev, /proc, /var/lib and cgroups."""

    def __init__(self, place: Path) -> None:
        self.place = place
        for folder in ("lib", "units", "vendor"):
            (place / folder).mkdir()
        for target in ("sysinit", "basic", "shutdown", "multi-user"):
            (place / "vendor" / f"{target}.target").write_text("[Unit]\nDefaultDependencies=no\n")
        self._cgroup = _cgroup_mount() / f"phi-machine-{os.getpid()}"
        self._cgroup.mkdir()
        self._process = subprocess.Popen(
            [
                *("sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', str(self._cgroup)),
                *("unshare", "--mount", "--pid", "--cgroup", "--ipc", "--uts", "--net", "--fork", "--kill-child"),
                *("bash", str(Path(__file__).with_name("boot.sh")), str(place)),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._init = 0

    def boot(self) -> Machine:
        """Wait until its systemd answers."""
        until(lambda: self._find_init() and self.systemctl("is-system-running", check=False) == "running")
        return self

    def _find_init(self) -> int:
        if self._process.poll() is not None:
            assert self._process.stderr is not None
            raise RuntimeError(self._process.stderr.read().strip())
        with suppress(OSError, ValueError):
            pid = int(Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text())
            if Path(f"/proc/{pid}/comm").read_text() == "systemd\n":
                self._init = pid
        return self._init

    def run(self, *command: str, check: bool = True) -> str:
        """What a command inside says."""
        inside = ["nsenter", f"--target={self._init}", "--mount", "--pid", "--cgroup", "--ipc", "--uts", "--net"]
        done = subprocess.run(
            [*inside, *command], capture_output=True, text=True, timeout=PATIENCE, check=False, cwd="/"
        )
        assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def systemctl(self, *arguments: str, check: bool = True) -> str:
        return self.run("systemctl", "--no-pager", *arguments, check=check)

    def supervised(self) -> list[str]:
        """Who bears the mark of a supervisor."""
        return self.run("sh", "-c", "grep -l SUPERVISOR_ID /proc/[0-9]*/environ", check=False).split()

    def is_dead(self, pid: int) -> bool:
        """Gone, or a zombie that has not been reaped yet."""
        return self.run("cat", f"/proc/{pid}/cmdline", check=False) == ""

    def end(self) -> None:
        """All of it: what lives in a pid namespace dies with its PID 1, which dies with `unshare`."""
        pidfd = os.pidfd_open(self._init) if self._init else -1
        self._process.kill()
        self._process.wait()
        if self._process.stderr is not None:
            self._process.stderr.close()
        if pidfd >= 0:
            import select

            assert select.select([pidfd], [], [], PATIENCE)[0]
            os.close(pidfd)
        until(lambda: "populated 0" in (self._cgroup / "cgroup.events").read_text())
        for folder, _, _ in os.walk(self._cgroup, topdown=False):
            Path(folder).rmdir()


class Unit:
    """A supervisor under that systemd, from the unit that `supervisor systemd` prints.  `units`: the folder of another
    manager's units, which is asked by `ask`.  `template`: a `NAME@.service` to take instead of what is printed."""

    def __init__(
        self,
        machine: Machine,
        name: str,
        services: str,
        settings: str = "",
        *,
        units: Path | None = None,
        template: Path | None = None,
        ask: Sequence[str] = ("systemctl", "--no-pager"),
    ) -> None:
        self.machine, self.name = machine, f"supervisor-{name}.service"
        self._ask, self._said = ask, machine.place / f"{name}.said"
        self.place = machine.place / f"place of {name} 100%"
        if template:
            self.name = f"{template.name.removesuffix('.service')}{name}.service"
            self.place = machine.place / "etc" / name
        self.place.mkdir(parents=True)
        self.file = self.place / "services.toml"
        self.state_dir = machine.place / "lib" / "supervisor" / name
        self.control = f"/run/supervisor/{name}/control.sock"
        self._head = f'[supervisor]\nname = "{name}"\n'
        self.write(services)
        folder = units or machine.place / "units"
        if template:
            text = template.read_text().replace("/etc/supervisor/", f"{machine.place}/etc/")
            text = text.replace("/usr/bin/supervisor", f"{sys.executable} -P -m supervisor")
            (folder / template.name).write_text(text)
        else:
            user = ["--user"] if units else []
            command = [sys.executable, "-m", "supervisor", "systemd", *user, "-f", str(self.file)]
            text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            (folder / self.name).write_text(text)
        dropin = folder / f"{self.name}.d"
        dropin.mkdir()
        said = str(self._said).replace("%", "%%")
        (dropin / "test.conf").write_text(f"[Service]\nStandardError=append:{said}\n{settings}\n")
        machine.run(*ask, "daemon-reload")

    def write(self, services: str) -> None:
        self.file.write_text(self._head + services)

    def systemctl(self, verb: str, *arguments: str, check: bool = True) -> str:
        return self.machine.run(*self._ask, verb, *arguments, self.name, check=check)

    def show(self, key: str) -> str:
        return self.systemctl("show", "--value", "-p", key)

    def cli(self, *arguments: str, check: bool = True) -> str:
        return self.machine.run(sys.executable, "-m", "supervisor", *arguments, "--socket", self.control, check=check)

    @property
    def pid(self) -> int:
        return int(self.show("MainPID"))

    def signal(self, number: int) -> None:
        self.machine.run("kill", f"-{number}", str(self.pid))

    def freeze(self) -> None:
        """SIGSTOP for the daemon; return when it is stopped, for it takes the signal when it next runs."""
        stat = f"/proc/{self.pid}/stat"
        self.signal(signal.SIGSTOP)
        until(lambda: self.machine.run("cat", stat).rpartition(")")[2].split()[0] == "T")

    def rows(self) -> dict[str, JSON]:
        text = self.cli("status", "--json", check=False)
        return {row["name"]: row for row in json.loads(text)["instances"]} if text else {}

    def log(self, instance: str) -> list[str]:
        path = self.state_dir / "log" / f"{instance}.log"
        return path.read_text().splitlines() if path.exists() else []

    def replaced(self, before: int) -> None:
        """Wait until another daemon than `before` is active and answers."""
        until(lambda: self.pid not in (0, before) and self.show("ActiveState") == "active")

    def said(self) -> str:
        return self._said.read_text()


def until(condition: Callable[[], object]) -> None:
    """For what lies in a namespace with its own manager, and can only be asked."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "not within patience"
        time.sleep(0.02)


def _cgroup_mount() -> Path:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        if fields[fields.index("-") + 1] == "cgroup2":
            return Path(fields[4])
    pytest.skip("there is no cgroup v2 hierarchy")


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    if os.geteuid() != 0:
        pytest.skip("only root can make a machine of namespaces")
    missing = [program for program in (SYSTEMD, "unshare", "nsenter", "systemctl") if shutil.which(program) is None]
    if missing:
        pytest.skip(f"no {', '.join(missing)}")
    try:
        one = Machine(tmp_path_factory.mktemp("machine"))
    except OSError as error:
        pytest.skip(f"no cgroup can be made: {error}")
    try:
        try:
            one.boot()
        except RuntimeError as error:
            pytest.skip(f"namespaces cannot be made here: {error}")
        yield one
    finally:
        one.end()


@pytest.fixture
def unit(machine: Machine) -> Iterator[Callable[..., Unit]]:
    """`unit(name, services, settings, …)`: a supervisor that is not started yet; ended after the test in any case."""
    made: list[Unit] = []

    def make(name: str, services: str, settings: str = "", **more: Any) -> Unit:
        made.append(Unit(machine, name, services, settings, **more))
        return made[-1]

    yield make
    for one in made:
        one.systemctl("kill", "--kill-whom=all", f"--signal={signal.SIGCONT.name}", check=False)
        one.systemctl("stop", check=False)
        one.systemctl("kill", "--kill-whom=all", "--signal=SIGKILL", check=False)
