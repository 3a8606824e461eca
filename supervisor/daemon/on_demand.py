"""On demand: watches the sockets of what waits for a connection, and finds what runs without one.

Which instances these are and when one is idle is decided in core/services/demand.  The daemon has this part from the
first plan on in which a service has `start=demand`.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING

import supervisor.adapters.processes.fork_exec  # noqa: F401 - the first start is not to wait for the import
from supervisor.adapters.linux.descriptor_reserve import kept_free
from supervisor.adapters.sockets.arrivals import Arrivals
from supervisor.adapters.sockets.connections import open_connections
from supervisor.core.model import events as ev
from supervisor.core.services.demand import IdleClock, idle_specs, waiting_specs
from supervisor.daemon.parts import SOCKET, Parts
from supervisor.errors import OperationFailed

if TYPE_CHECKING:
    from supervisor.adapters.eventloop.loop import Timer
    from supervisor.core.model.spec import ServiceSpec

UNCOUNTED = (
    "the kernel does not tell how many connections are open: what starts on demand is not stopped when it is idle"
)


class _Run:
    """One run that is to be stopped when it is idle."""

    def __init__(self, name: str, incarnation: int, idle: float, sockets: list[socket.socket], now: float) -> None:
        self.name, self.incarnation, self.idle, self.sockets = name, incarnation, idle, sockets
        self.clock = IdleClock(idle, now)
        self.timer: Timer | None = None


class OnDemand:
    """Reviewed after every change of a state (effects.py)."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._watched: dict[socket.socket, tuple[int, tuple[tuple[str, str], ...]]] = {}
        """Of each socket its descriptor, and the instances that it starts, each with the URL."""
        self._runs: dict[tuple[str, int], _Run] = {}
        self._arrivals = Arrivals(parts.loop, self._heard)

    def review(self) -> None:
        """Watch the sockets of what waits for a connection now, and time what runs now."""
        instances = self._parts.service_set.instances.values()
        self._watch(waiting_specs(instances))
        self._time(idle_specs(instances))

    # -- what waits for a connection -----------------------------------------------------------------------------

    def _watch(self, waiting: Mapping[str, ServiceSpec]) -> None:
        wanted: dict[socket.socket, tuple[tuple[str, str], ...]] = {}
        for name, spec in waiting.items():
            for url, sock in self._opened(name, spec).items():
                wanted[sock] = (*wanted.get(sock, ()), (name, url))
        loop = self._parts.loop
        for sock in self._watched.keys() - wanted.keys():
            loop.unregister(self._watched.pop(sock)[0])
        for sock, started in wanted.items():
            if sock not in self._watched:
                loop.register(sock.fileno(), partial(self._connected, sock))
            self._watched[sock] = sock.fileno(), started

    def _opened(self, name: str, spec: ServiceSpec) -> dict[str, socket.socket]:
        """The sockets of the instance by URL; where they cannot be opened its start has failed."""
        parts = self._parts
        try:
            with kept_free(parts.reserve):
                found = dict(zip((s.url for s in spec.sockets), parts.sockets.open(spec), strict=True))
        except (OSError, OperationFailed) as error:
            text = error.message if isinstance(error, OperationFailed) else f"no descriptor is free: {error.strerror}"
            parts.engine.post(name, ev.SpawnFailed(parts.service_set.instances[name].incarnation, text))
            return {}
        if parts.reporter is not None:
            parts.reporter.keep({f"{SOCKET}{url}": fd for url, fd in found.items()})
        return {url: parts.sockets.listening[url] for url in found}

    def _connected(self, sock: socket.socket, _events: int) -> None:
        fd, started = self._watched.pop(sock)
        self._parts.loop.unregister(fd)
        for name, url in started:
            self._parts.engine.post(name, ev.Connected(url))

    # -- what may be idle ----------------------------------------------------------------------------------------

    def _time(self, runs: Mapping[tuple[str, int], ServiceSpec]) -> None:
        for key in self._runs.keys() - runs.keys():
            self._forget(self._runs.pop(key))
        for key, spec in runs.items():
            if key not in self._runs and spec.idle is not None:
                known = self._parts.sockets.listening
                sockets = [known[s.url] for s in spec.sockets if s.url in known]
                self._runs[key] = run = _Run(*key, spec.idle, sockets, self._parts.now())
                self._wait(run)

    def _forget(self, run: _Run) -> None:
        if run.timer is not None:
            run.timer.cancel()
        others = {sock for other in self._runs.values() for sock in other.sockets}
        self._arrivals.ignore(sock.fileno() for sock in run.sockets if sock not in others)

    def _arm(self, sockets: Iterable[socket.socket]) -> None:
        for sock in sockets:
            if sock.fileno() >= 0:  # else it was replaced, because its path had been removed
                self._arrivals.listen(sock.fileno())

    def _wait(self, run: _Run) -> None:
        if run.timer is not None:
            run.timer.cancel()
        run.timer = self._parts.loop.call_at(run.clock.due, partial(self._look, run))

    def _heard(self, fd: int) -> None:
        for run in self._runs.values():
            if any(sock.fileno() == fd for sock in run.sockets):
                run.clock.connected(self._parts.now())
                self._wait(run)

    def _look(self, run: _Run) -> None:
        self._arm(run.sockets)
        if run.clock.looked(self._connections(run), self._parts.now()):
            self._parts.engine.post(run.name, ev.Idle(run.incarnation, run.idle))
        self._wait(run)

    def _connections(self, run: _Run) -> int:
        """How many are open; where that cannot be known, it is not idle.  A run without a socket of ours is not
        either: after a crash of the daemon only the process may have it."""
        if not run.sockets:
            return 1
        try:
            return sum(open_connections(sock) for sock in run.sockets if sock.fileno() >= 0)
        except OSError:
            if UNCOUNTED not in self._parts.problems:
                self._parts.problem(UNCOUNTED)
            return 1
