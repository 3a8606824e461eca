"""Carries out the steps on one host, over one connection."""

from __future__ import annotations

import hashlib
import json
import shlex
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from supervisor.fleet import far_side, steps
from supervisor.fleet.parallel import Work
from supervisor.fleet.problems import HostProblem, Kind
from supervisor.fleet.ssh import TIMED_OUT, Remote, joined
from supervisor.fleet.steps import Found, Step, Todo
from supervisor.fleet.wheelhouse import Release, Wheelhouse

CONNECT = "connect"
LOOK = "look what is there"
WHEELS = "get the wheels"
PYTHONS = ("python3", "python3.14", "python3.13", "python3.12", "python3.11")
OLDEST_PYTHON = (3, 11)
NO_PYTHON = 97
SEND_WITHIN = 300.0
CONNECT_WITHIN = 60.0
"""Seconds for a whole connection, with its jumps and tries; each part has a shorter limit of its own (ssh.py)."""
MARGIN = 30.0
"""Seconds between the limit of a step on the host and the deadline at which it is given up here."""

_WITHIN = {
    Step.BUILD: 900.0,
    Step.ACTIVATE: 30.0,
    Step.CONFIGURE: 90.0,
    Step.UNIT: 150.0,
    Step.START: 330.0,
    Step.RELOAD: 930.0,
    Step.UPGRADE: 150.0,
    Step.STOP: 930.0,
}
"""Seconds that the host gives a step."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a command brings: wheels, a file, and how long services may take to be ready."""

    directory: str
    wheelhouse: Wheelhouse | None = None
    config: Path | None = None
    user: bool = False
    ready_within: float = 60.0

    @property
    def digest(self) -> str:
        """SHA-256 of the file."""
        assert self.config is not None
        return hashlib.sha256(self.config.read_bytes()).hexdigest()


@dataclass(frozen=True, slots=True)
class Done:
    """What was done on a host; `status`: as it was found, or at the end."""

    found: Found
    todo: Todo
    status: dict[str, Any] | None = None
    said: str = ""


class Host:
    """A host that is connected."""

    def __init__(self, work: Work, directory: str) -> None:
        self._work, self._directory = work, directory
        self._remote: Remote | None = None
        self.begun: list[Step] = []
        """Steps that were begun, the last of which may have failed."""

    def __enter__(self) -> Host:
        with self._work.connecting(), self._work.step(CONNECT, CONNECT_WITHIN):
            self._remote = Remote(self._work.host)
            self._remote.open()
        return self

    def __exit__(self, *_: object) -> None:
        if self._remote is not None:  # paramiko waits for its own thread; nothing here waits for that
            threading.Thread(target=self._remote.close, daemon=True).start()

    @property
    def remote(self) -> Remote:
        """The connection."""
        assert self._remote is not None
        return self._remote

    def look(self, *, pending: bool = False) -> tuple[Found, dict[str, Any] | None]:
        """What is there, and what `status` says."""
        with self._work.step(LOOK, 90.0 + MARGIN):
            answer = self._ask("look", 90.0, pending=pending)
            return steps.understood(answer), answer["status"]

    def carry_out(self, todo: Todo, wanted: Wanted, found: Found, release: Release | None) -> dict[str, Any] | None:
        """The steps, one after the other; what `status` says at the end, where a step has asked."""
        status = None
        incoming = ""
        if todo.steps and {Step.SEND, Step.CONFIGURE}.intersection(todo.steps):
            with self._work.step("prepare the directory", 30.0 + MARGIN):
                incoming = self._ask("prepare", 30.0)["incoming"]
        for step in todo.steps:
            self.begun.append(step)
            name = release.name if release is not None else found.current
            match step:
                case Step.SEND:
                    assert release is not None
                    self._send(release.archive, f"{incoming}/{release.name}.tar", step)
                case Step.BUILD:
                    assert release is not None
                    archive = f"{incoming}/{release.name}.tar"
                    self._step(step, archive=archive, release=name, project=f"{release.project}=={_version(release)}")
                case Step.ACTIVATE | Step.UPGRADE:
                    self._step(step, release=name)
                case Step.CONFIGURE:
                    assert wanted.config is not None
                    arrived = f"{incoming}/{uuid4().hex}.toml"
                    self._send(wanted.config, arrived, step)
                    self._step(step, arrived=arrived, release=found.current or name)
                case Step.UNIT:
                    self._step(step, user=not found.root)
                case Step.HEALTH:
                    status = self._healthy(wanted.ready_within)
                case _:
                    self._step(step)
        return status

    def put_back(self, found: Found) -> str:
        """Undo what made services fail: the daemon becomes the release again that is still current, or gets its former
        services.toml.  Returns what was done."""
        if Step.UPGRADE in self.begun[:-1] and Step.ACTIVATE not in self.begun:
            with self._work.step("put the former release back", _WITHIN[Step.UPGRADE] + MARGIN):
                self._ask("upgrade", _WITHIN[Step.UPGRADE], release=found.current)
            return f"release {found.current} was put back"
        if Step.RELOAD in self.begun and Step.CONFIGURE in self.begun:
            with self._work.step("put the former services.toml back", _WITHIN[Step.RELOAD] + MARGIN):
                self._ask("put_back", _WITHIN[Step.RELOAD])
            return "the former services.toml was put back"
        return ""

    def _healthy(self, within: float) -> dict[str, Any]:
        with self._work.step(Step.HEALTH, within + 60.0 + MARGIN):
            status: dict[str, Any] = self._ask("healthy", within + 60.0, ready_within=within)["status"]
            return status

    def _step(self, step: Step, **arguments: Any) -> dict[str, Any]:
        within = _WITHIN[step]
        with self._work.step(step, within + MARGIN):
            return self._ask(_TASKS[step], within, **arguments)

    def _send(self, path: Path, to: str, step: str) -> None:
        with self._work.step(step, SEND_WITHIN):
            self.remote.send(path, to, lambda _sent, _total: None)

    def run(self, words: tuple[str, ...], within: float, tell: Callable[[str, bytes], None]) -> int:
        """A command of the user: its exit code.  Its output is handed on in pieces."""
        with self._work.step("run", within + MARGIN):
            code, _, _ = self.remote.execute(joined(words), within, on_output=tell)
        if code == TIMED_OUT:
            raise HostProblem(
                Kind.TIMEOUT, f"the command did not end within {within:g} s, and was ended", "See --timeout."
            )
        return code

    def _ask(self, task: str, within: float, **arguments: Any) -> dict[str, Any]:
        """Let the host's own Python carry out a task of far_side.py."""
        program = Path(far_side.__file__).read_text()
        program += f"\nmain({task!r}, {self._directory!r}, json.loads({json.dumps(arguments)!r}))\n"
        code, out, err = self.remote.execute(_with_python(within), within, program.encode())
        if code == NO_PYTHON:
            raise HostProblem(
                Kind.FAILED,
                "no Python of version {}.{} or newer on its PATH".format(*OLDEST_PYTHON),
                "Install python3 there; neither pip nor python3-venv is needed.",
            )
        if code in (TIMED_OUT, 137):
            raise HostProblem(Kind.TIMEOUT, f"the host did not finish it within {within:g} s", "Is it overloaded?")
        try:
            answer: dict[str, Any] = json.loads(out)
        except ValueError:
            said = (err or out).decode(errors="replace").strip()[-600:]
            raise HostProblem(Kind.FAILED, f"Python ended with {code}: {said}") from None
        if "error" in answer:
            raise HostProblem(Kind.FAILED, answer["error"])
        return answer


_TASKS = {
    Step.BUILD: "build",
    Step.ACTIVATE: "activate",
    Step.CONFIGURE: "configure",
    Step.UNIT: "unit",
    Step.START: "start",
    Step.RELOAD: "reload",
    Step.UPGRADE: "upgrade",
    Step.STOP: "down",
}


def _version(release: Release) -> str:
    return release.name.rpartition("-")[0]


def _with_python(within: float) -> str:
    """A script that hands its standard input to the first Python that is new enough."""
    test = shlex.quote(f"import sys; sys.exit(sys.version_info < {OLDEST_PYTHON})")
    return (
        f"for python in {' '.join(PYTHONS)}; do "
        f'if command -v "$python" >/dev/null 2>&1 && "$python" -I -c {test} 2>/dev/null; then exec "$python" -I -; fi; '
        f"done; exit {NO_PYTHON}"
    )
