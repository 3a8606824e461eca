"""Hosts of a cluster on one machine: each is a daemon with directories and a name of its own."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from scripts.tools.chaos.cluster_observer import Observer, Run
from supervisor.errors import SupervisorError
from tests.doubles.zookeeper_servers import Ensemble
from tests.e2e.conftest import ROOT, Daemon, alive

SESSION, CONTACT, TICK, MARGIN, STOP = 4.0, 0.3, 0.5, 1.0, 0.5
"""Seconds: of a session, between contacts, of ZooKeeper's ticks, of lease.MARGIN, and of an orderly stop."""
LONGEST = 45.0
"""Seconds that a test waits for anything."""
PARTS = ("cluster-agent", "cluster-deadman")
PROGRAM = ROOT / "scripts" / "tools" / "chaos" / "placed_program.py"


class Host(Daemon):
    """`more`: what its table has beside that of all; `session`: its session_timeout, in seconds."""

    def __init__(
        self, directory: Path, node: str, services: str, hosts: str, more: str = "", session: float = SESSION
    ) -> None:
        self.node, self.services, self.hosts, self.more, self.session = node, services, hosts, more, session
        directory.mkdir()
        super().__init__(directory, "")
        self.configure(services, more)

    def configure(self, services: str, more: str = "") -> None:
        """Write its file."""
        self.write(
            f'[cluster]\nhosts = "{self.hosts}"\nnode = "{self.node}"\nsession_timeout = "{self.session:g}s"\n'
            f'contact_interval = "{1000 * CONTACT:.0f}ms"\nrequest_timeout = "{175 * self.session:.0f}ms"\n'
            f'tick_time = "{1000 * TICK:.0f}ms"\n'
            f'labels = {{ rack = "r-{self.node}" }}\n{more}\n{services}'
        )

    def pid(self, service: str) -> int:
        """The main process of a service; 0: there is none."""
        return int(self.status(service)["pid"] or 0)

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def word(self) -> dict[str, Any]:
        """What the agent said last; empty: nothing."""
        try:
            return dict(self.client.get("/v1/cluster")["word"] or {})
        except (SupervisorError, OSError):
            return {}

    def until(self, holds: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """Wait until something holds of the agent's word."""
        found: dict[str, Any] = self.wait_for(self.word, lambda word: word and holds(word))
        return found

    def wait_for(self, look: Callable[[], Any], holds: Callable[[Any], object]) -> Any:
        """Look until something holds of what is seen."""
        deadline = time.monotonic() + LONGEST
        while not holds(seen := look()):
            assert time.monotonic() < deadline, f"{self.node}: {seen}\n{self.lines[-12:]}"
            time.sleep(0.02)
        return seen

    def all_processes(self) -> list[int]:
        """The daemon first: what it misses it would start again."""
        assert self.process is not None
        mains = [row["pid"] for row in self.client.get("/v1/status")["instances"] if row["pid"]]
        return [self.process.pid, *mains, *(child for pid in mains for child in children(pid))]

    def die(self) -> float:
        """All processes of the host are killed at once, as when its power fails; the moment."""
        every = self.all_processes()
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in every:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
        self.wait()
        return boottime()

    @contextmanager
    def stopped(self, *pids: int) -> Iterator[None]:
        """These processes do not run meanwhile."""
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)


class Hosts:
    """a, b and c, and what an observer sees of them.  `more`: what each of their tables has beside the rest."""

    def __init__(
        self, folder: Path, ensemble: Ensemble, observer: Observer, more: Sequence[str] = ("", "", ""),
        session: float = SESSION,
    ) -> None:  # fmt: skip
        self.ensemble, self.observer = ensemble, observer
        command = f'command = ["{sys.executable}", "{PROGRAM}", "{observer.path}", "{folder}/lock"'
        quick = f'stop_timeout = "{1000 * STOP:.0f}ms"\n'
        self.services = (
            f'[services.scheduler]\n{command}]\n{quick}placement = {{ mode = "one" }}\n'
            f'[services.web]\n{command}]\n{quick}placement = {{ mode = "spread", instances = 2, apart = "rack" }}\n'
            f'[services.plain]\ncommand = ["sleep", "1000000"]\n{quick}'
        )
        self.once = f'[services.migrate]\n{command}, "once"]\n{quick}type = "oneshot"\nplacement = {{ mode = "one" }}\n'
        chroot = f"{ensemble.hosts}/cluster"
        self.by_node = {
            node: Host(folder / node, node, self.services, chroot, text, session)
            for node, text in zip("abc", more, strict=True)
        }

    def __getitem__(self, node: str) -> Host:
        return self.by_node[node]

    def __iter__(self) -> Iterator[Host]:
        return iter(self.by_node.values())

    def settle(self) -> Run:
        """All hosts are there, hold what they should, and know it; the run of the scheduler.

        Each says so from now on: the last word may be that of an agent that was killed."""
        begin = boottime()
        for host in self:
            if not host.running:
                host.start(wait=False)
        for host in self:
            host.until(lambda word: word["at"] > begin and self._settled(word))
        for instance in ("web@1", "web@2"):
            self.observer.present(instance)
        return self.observer.present("scheduler")

    def _settled(self, word: dict[str, Any]) -> bool:
        members = word["members"]
        connected = word["engine"]["state"] == "connected" and not word["nowhere"]
        return connected and len(members) == len(self.by_node) and all(one["taking"] for one in members)

    def owner(self) -> tuple[Host, Run]:
        """The host on which the scheduler runs."""
        run = self.settle()
        return self[run.node], run

    def other(self, *but: Host) -> Host:
        """A host that is none of these."""
        return next(host for host in self if host not in but)


def figure(text: str) -> None:
    """A time, shown with -rP or where a test fails; none is judged, because the machine may be busy."""
    sys.stdout.write(f"{text}\n")


def boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


__all__ = [
    "CONTACT",
    "LONGEST",
    "MARGIN",
    "PARTS",
    "SESSION",
    "STOP",
    "TICK",
    "Host",
    "Hosts",
    "alive",
    "boottime",
    "figure",
]
