"""A temporary place with services and one daemon after the other, each started as a service manager would."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from scripts.tools.chaos import sight
from scripts.tools.chaos.judge import ANSWERED_BY, Judge
from supervisor.client import Client
from supervisor.core.model.documents import Status
from supervisor.core.text.timestamps import from_iso
from supervisor.errors import NoDaemon, SupervisorError

PROGRAM = Path(__file__).with_name("program.py")
NEAR = 1.5
"""Seconds around a violation whose events are shown."""
PATIENCE = 20.0
"""Seconds within which a daemon must answer, and all services be what they should be."""
RESTART = 'restart = { initial = "20ms", backoff = "fixed", jitter = 0.0, max_restarts = 1000000 }'


class DaemonEnded(Exception):
    """The daemon ended by itself; the message has its exit code and its last output."""


class Stage:
    """The services and the daemon of one place.

    `services`: tables of services.toml, in which RUN becomes the words that run the program, and PLACE the place.
    `prefix`: words before the daemon's command, such as `setpriv …`; `environment`: added to the daemon's; `asking`:
    added to that of the commands that are sent to it.
    """

    def __init__(
        self,
        services: str,
        judge: Judge,
        *,
        prefix: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.place, self.judge = judge.place, judge
        self.file, self.said = self.place / "services.toml", self.place / "daemon.log"
        self.runtime_dir, self.state_dir = self.place / "r", self.place / "s"
        self.client = Client(str(self.runtime_dir / "control.sock"))
        self.prefix, self.environment = list(prefix), dict(environment or {})
        self.asking: dict[str, str] = {}
        self.pid, self.began, self.starts = 0, 0.0, 0
        self._daemon: subprocess.Popen[bytes] | None = None
        self._held: dict[str, int] = {}
        for name in ("locks", "counts"):
            (self.place / name).mkdir()
        self.write(services)

    def write(self, services: str) -> None:
        head = f'[supervisor]\nname = "chaos"\nruntime_dir = "{self.runtime_dir}"\nstate_dir = "{self.state_dir}"\n'
        defaults = f'[defaults]\n{RESTART}\nstop_timeout = "2s"\nstart_timeout = "20s"\n'
        new = self.file.with_suffix(".new")
        new.write_text(
            head
            + defaults
            + services.replace("RUN", f'"{sys.executable}", "-I", "-S", "{PROGRAM}"').replace("PLACE", str(self.place))
        )
        new.rename(self.file)

    # -- the daemon --------------------------------------------------------------------------------------------------

    def start(self) -> None:
        with open(self.said, "ab") as said:
            self._daemon = subprocess.Popen(
                [*self.prefix, *self.command("run", "-f", str(self.file), "--log-format", "json")],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
                cwd=self.place,
                env=os.environ | {sight.MARK: str(self.place)} | self.environment,
            )
        self.pid, self.began = self._daemon.pid, time.monotonic()
        self.judge.not_to_reap.add(self.pid)
        self.judge.daemon_began(self.pid)
        self.starts += 1

    @staticmethod
    def command(*arguments: str) -> list[str]:
        return [sys.executable, "-m", "supervisor", *arguments]

    def kill(self) -> float:
        """Send SIGKILL to the daemon through a pidfd, and wait until it is dead; returns the time before."""
        assert self._daemon is not None
        self.check()
        fd = os.pidfd_open(self._daemon.pid)  # a child that is not reaped, so that its number cannot be used again
        moment = time.monotonic()
        self.judge.daemon_gone(moment)
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(fd, signal.SIGKILL)
        select.select([fd], [], [])
        os.close(fd)
        self.judge.daemon_dead(time.monotonic())
        self._forget()
        return moment

    def check(self) -> None:
        """Raise DaemonEnded if the daemon has ended by itself."""
        if self._daemon is not None and self._daemon.poll() is not None:
            code = self._daemon.returncode
            self._forget()
            raise DaemonEnded(f"the daemon ended by itself with {code}; it said {self.last_words()}")

    def _forget(self) -> None:
        assert self._daemon is not None
        self._daemon.wait()
        self.judge.not_to_reap.discard(self._daemon.pid)
        self._daemon = None

    def answers(self, within: float = PATIENCE) -> bool:
        """Wait until the daemon answers; False when it has ended, or does not answer in time."""
        until = time.monotonic() + within
        while time.monotonic() < until:
            with contextlib.suppress(SupervisorError):
                self.client.services()
                self.judge.daemon_there()
                return True
            if self._daemon is None or self._daemon.poll() is not None:
                return False
            self.judge.look(0.005)
        return False

    def settled(self, within: float = PATIENCE) -> bool:
        """Wait until all services are what they should be."""
        until = time.monotonic() + within
        while self.judge.unsettled() and time.monotonic() < until:
            self.judge.look(0.02)
        return not self.judge.unsettled()

    def down(self) -> tuple[int, str]:
        """Run `supervisor down`; returns its exit code and stderr."""
        for instance in self.judge.wishes:
            self.judge.order(instance, "stop")
        down = subprocess.Popen(
            self.command("down"),
            cwd=self.place,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=os.environ | self.asking,
        )
        self.judge.not_to_reap.add(down.pid)
        assert down.stderr is not None
        while down.poll() is None:
            self.judge.look(0.02)
        said = down.stderr.read().decode()
        if down.returncode == 0 and self._daemon is not None:
            self._forget()
        return down.returncode, said

    def status(self) -> Status:
        return self.client.status()

    def problems(self) -> list[str]:
        return self.status()["supervisor"]["problems"]

    def order(self, verb: str, instance: str) -> bool | None:
        """Give an order. True: the daemon has accepted it. False: no daemon got it. None: unknown."""
        order = self.judge.order(instance, verb)
        try:
            self.client.act(verb, [instance])
        except NoDaemon as error:
            if "no daemon answers" in error.message:
                order.by = 0.0
                return False
            return None
        order.by = time.monotonic() + ANSWERED_BY
        return True

    def hold_pipes(self, instances: Sequence[str]) -> None:
        """Hold pipes open, as a descriptor store would."""
        for name in instances:
            self._held[name] = os.open(self.runtime_dir / "fifo" / name, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    # -- the daemon's output -----------------------------------------------------------------------------------------

    def complaints(self) -> list[str]:
        """Internal errors and tracebacks of all daemons so far."""
        bad = ("internal error", "Traceback (most recent call last)", "Fatal Python error")
        text = self.said.read_text(errors="replace") if self.said.exists() else ""
        return [line for line in text.splitlines() if any(word in line for word in bad)]

    def last_words(self) -> str:
        return repr(self.said.read_text(errors="replace")[-600:])

    def events(self, instance: str, around: float = 0.0, maximum: int = 12) -> list[str]:
        """Events of an instance by `supervisor events`: those around a time (monotonic), or the newest."""
        which = [instance] if instance != "-" else []
        done = subprocess.run(
            self.command("events", "--json", "-n", "1000", *which),
            cwd=self.place,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=os.environ | self.asking,
        )
        events = [json.loads(line) for line in done.stdout.splitlines()]
        if around:
            ahead = time.time() - time.monotonic()
            near = [(abs(from_iso(e["at"]) - ahead - around), e) for e in events]
            events = [e for distance, e in near if distance < NEAR]
            return [_brief(e) for e in events[: 2 * maximum]]
        return [_brief(e) for e in events[-maximum:]]

    # -- clean-up -----------------------------------------------------------------------------------------------------

    def __enter__(self) -> Stage:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End everything that belongs to the place, whatever has happened."""
        if self._daemon is not None:
            with contextlib.suppress(DaemonEnded):
                self.kill()
        for fd in self._held.values():
            os.close(fd)
        for _ in range(100):
            there = list(sight.marked(str(self.place)))
            for process, _name in there:
                sight.send(process, signal.SIGKILL)
            sight.reap(set())
            if not there:
                return
            time.sleep(0.02)


@contextlib.contextmanager
def temporary_place() -> Iterator[Path]:
    """A temporary folder; removed afterwards, unless it contains a file `keep`."""
    place = Path(tempfile.mkdtemp(prefix="chaos-"))
    try:
        yield place
    finally:
        if not (place / "keep").exists():
            shutil.rmtree(place, ignore_errors=True)


def _brief(event: dict[str, Any]) -> str:
    detail = json.dumps(event["detail"]) if event["detail"] else ""
    change = f"{event['from']} → {event['to']}" if event["from"] != event["to"] else event["to"]
    return (
        f"{event['id']:6} {event['at']} {event['instance']}#{event['incarnation']} {change}: {event['cause']} {detail}"
    )
