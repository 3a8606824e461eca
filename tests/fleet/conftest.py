"""A machine that leads a fleet, and hosts that are real sshd processes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from supervisor.fleet.problems import HostProblem
from supervisor.fleet.steps import Target
from supervisor.fleet.wheelhouse import Wheelhouse
from tests.doubles.sshd import MISSING, Sshd, make_key, write_client

SERVICES = """
[supervisor]
name = "test"
runtime_dir = "r"
state_dir = "s"
[services.web]
command = ["sleep", "1000"]
"""


@pytest.fixture(scope="session")
def client_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if MISSING:
        pytest.skip(MISSING)
    return make_key(tmp_path_factory.mktemp("key") / "id")


@pytest.fixture(scope="session")
def wheels() -> None:
    """Wheels for this Python, from an index or kept from an earlier time; hosts here have the same Python."""
    from platform import libc_ver, machine

    libc, version = libc_ver()
    python = "{}.{}".format(*sys.version_info)
    target = Target(python=python, machine=machine(), libc=libc, libc_version=version)
    for house in (Wheelhouse(), Wheelhouse(extras=frozenset({"cluster"}))):
        try:
            house.release(target)
        except HostProblem as problem:
            pytest.skip(problem.message)
        finally:
            house.close()


class Fleet:
    """Hosts, and the machine that leads them: its home, its file, and the command."""

    def __init__(self, folder: Path, key: Path) -> None:
        self.folder, self.key = folder, key
        self.home = folder / "leader"
        self.hosts: dict[str, Sshd] = {}
        self.agent: Path | None = None
        self.file = folder / "services.toml"
        self.cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")

    def host(self, name: str, options: str = "") -> Sshd:
        """One host more."""
        self.hosts[name] = Sshd(self.folder / name, self.key, options).start()
        write_client(self.home, self.key, self.hosts)
        self.write()
        return self.hosts[name]

    def write(self, services: str = SERVICES, *, wave: str = '"34%"', more: str = "") -> None:
        """services.toml with the hosts."""
        hosts = [
            f'{{ name = "{name}", address = "127.0.0.1", port = {host.port}, labels = {{ zone = "{name}" }} }}'
            for name, host in self.hosts.items()
        ]
        listed = ",\n".join([*hosts, *filter(None, [more])])
        self.file.write_text(f'[fleet]\nhosts = [\n{listed}\n]\ndirectory = "phi"\nwave = {wave}\n{services}')

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Begin `supervisor fleet …`."""
        environment = {
            **os.environ,
            "HOME": str(self.home),
            "XDG_CACHE_HOME": str(self.cache),
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        }
        environment.pop("SSH_AUTH_SOCK", None)
        environment |= {"SSH_AUTH_SOCK": str(self.agent)} if self.agent else {}
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "supervisor", "-f", str(self.file), "fleet", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def run(self, *arguments: str, code: int = 0) -> str:
        """`supervisor fleet …` to its end: what it printed on stdout."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=300.0)
        assert process.returncode == code, (process.returncode, out, err)
        self.said = err
        return out

    def document(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        """The rows of --json, by host."""
        answer = json.loads(self.run(arguments[0], "--json", *arguments[1:], code=code))
        return {row["name"]: row for row in answer["hosts"]}

    def on(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command of the release that a host has, run there."""
        directory = self.hosts[name].home / "phi"
        command = [str(directory / "current/bin/python"), "-P", "-m", "supervisor", *arguments]
        return subprocess.run(
            [*command, "-f", str(directory / "services.toml")], capture_output=True, text=True, check=False
        )

    def end(self) -> None:
        """Stop the daemons and the hosts."""
        for name, host in self.hosts.items():
            if (host.home / "phi/current").exists():
                self.on(name, "down")
            host.stop()


@contextmanager
def fleet_in_a_short_place(key: Path) -> Iterator[Fleet]:
    """A fleet whose hosts have paths that are short enough for sockets."""
    folder = Path(tempfile.mkdtemp(prefix="phi-"))
    fleet = Fleet(folder, key)
    try:
        yield fleet
    finally:
        fleet.end()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def fleet(client_key: Path) -> Iterator[Fleet]:
    with fleet_in_a_short_place(client_key) as fleet:
        yield fleet
