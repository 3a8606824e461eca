"""Notifications: takes what services say by sd_notify(3), and what is to become of the descriptors that come with it.

core/model/sdnotify.py says what a message means; here is decided whose it is, and whether it counts.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Protocol

from supervisor.core.model import events as ev
from supervisor.core.model import sdnotify
from supervisor.core.model.spec import NotifyAccess
from supervisor.core.services.socket_policy import storing

if TYPE_CHECKING:
    from supervisor.adapters.probes.descriptor_sink import Taker
    from supervisor.adapters.probes.notify_socket import NotifySocket
    from supervisor.adapters.processes.attribution import Attribution
    from supervisor.adapters.processes.table import ProcessTable
    from supervisor.adapters.sockets.descriptor_store import DescriptorStore
    from supervisor.core.lifecycle.instance import Instance
    from supervisor.core.model.sdnotify import Message
    from supervisor.core.services.service_set import ServiceSet
    from supervisor.daemon.engine import Engine

SAVE_NEW_PROCESSES = 0.5
"""Seconds after which new processes that beat for themselves are saved, with those that came during that time."""
LAST_WORDS = 2.0
"""Seconds that an end waits at most for the descriptors that were stored right before it."""
STORED = "stored"
"""The name of a stored descriptor for which FDNAME= gives no valid one, as in systemd."""


class Parts(Protocol):
    """What is needed of the daemon's parts (parts.py)."""

    service_set: ServiceSet
    engine: Engine
    processes: ProcessTable
    attribution: Attribution
    notify: NotifySocket

    @property
    def stored(self) -> DescriptorStore | None: ...

    def open_store(self) -> DescriptorStore: ...

    def look_at_spawns(self) -> None: ...

    def now(self) -> float: ...

    def later(self, seconds: float, callback: Callable[[], None]) -> None: ...

    def save(self, names: Iterable[str]) -> None: ...

    def problem(self, message: str) -> None: ...


class Notifications:
    """What all services of one daemon say."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._to_save: set[str] = set()
        self._patient_until = 0.0

    def hear_last_words(self, ending: list[str]) -> bool:
        """Read what these instances sent before their end: it tells why, or stores descriptors for the next process.

        False: another process is taking descriptors that may be theirs.  Their ends have to wait: nobody knows whose
        the datagrams behind are once they are reaped.  Call this again soon."""
        parts = self._parts
        found = parts.service_set.instances
        if not self._patient_until and not any(_notifies(found[name]) for name in ending if name in found):
            return True
        parts.notify.read()
        if parts.notify.taking and any(name in found and found[name].spec.fd_store for name in ending):
            self._patient_until = self._patient_until or parts.now() + LAST_WORDS
            if parts.now() < self._patient_until:
                return False
        self._patient_until = 0.0
        return True

    def take(self, pid: int, uid: int, message: Message, at: float) -> tuple[Taker, int] | None:
        """Take a message; what the descriptors that came with it are for, None where they are not wanted."""
        parts = self._parts
        if message is sdnotify.BEAT and (main := parts.processes.mains.get(pid)) is not None:  # nearly all of them
            instance = parts.service_set.instances.get(main.instance)
            beat = instance.spec.heartbeat if instance is not None else None
            if instance is not None and beat is not None and beat.notified:
                parts.engine.post(main.instance, ev.Heartbeat(instance.incarnation, at))
                return None
        parts.look_at_spawns()
        name = parts.attribution.resolve(pid)
        instance = parts.service_set.instances.get(name) if name is not None else None
        if instance is None or name is None:
            return None
        if not self._accepts(instance, pid):
            parts.engine.post(name, ev.NotifyRefused(instance.incarnation, pid))
            return None
        process = None
        if (members := instance.members) is not None and not parts.processes.is_main(name, pid):
            process = parts.attribution.identity(pid)
            new = process not in members.known or (message.busy or 0.0) > members.longest_work
            if process is not None and new and name not in self._to_save:
                self._to_save.add(name)
                parts.later(SAVE_NEW_PROCESSES, partial(self._save_processes, name))
        for event in sdnotify.events(message, instance.spec, instance.incarnation, at, process):
            parts.engine.post(name, event)
        error = sdnotify.error_told(message, instance.incarnation, os.strerror) if process is None else None
        if error is not None:
            parts.engine.post(name, error)
        if message.main_pid is not None and parts.processes.set_main(name, message.main_pid, message.main_pidfd_id):
            parts.engine.post(name, ev.MainPid(instance.incarnation, message.main_pid))
        if message.fd_remove and parts.stored is not None:
            parts.stored.remove(name, message.fd_name)
        if message.fd_store and instance.spec.fd_store:
            return self._to_store(instance, message)
        return (partial(self._take_main, name, instance.incarnation), 1) if message.main_pidfd else None

    def _accepts(self, instance: Instance, pid: int) -> bool:
        """Whether messages of this process of the instance count."""
        ready = instance.spec.ready
        if ready is None or ready.notify_access is NotifyAccess.TREE:
            return True
        return self._parts.processes.is_main(instance.name, pid)

    def _take_main(self, name: str, incarnation: int, descriptors: list[int], _refused: int) -> None:
        """MAINPIDFD=1: the process of this pidfd is the main one."""
        from supervisor.adapters.linux.pidfd import process_of

        parts = self._parts
        for fd in descriptors:
            pid = process_of(fd)
            if pid is not None and parts.processes.set_main(name, pid):
                parts.engine.post(name, ev.MainPid(incarnation, pid))
            os.close(fd)

    def _to_store(self, instance: Instance, message: Message) -> tuple[Taker, int] | None:
        """FDSTORE=1: as many descriptors as there is room for are kept for the next process of the instance."""
        parts = self._parts
        store, name, limit = parts.open_store(), instance.name, instance.spec.fd_store
        try:
            store.expect(name)
        except OSError as error:
            parts.problem(f"{name}: no process can be started that keeps its descriptors: {error.strerror}")
            return None

        def take(descriptors: list[int], refused: int) -> None:
            store.refused(name, refused, limit)
            store.add(name, message.fd_name or STORED, descriptors, watched=not message.fd_unwatched)
            store.keep_only(storing(parts.service_set.instances.values()))

        return take, max(0, limit - len(store.of(name)))

    def _save_processes(self, name: str) -> None:
        """Save an instance of which a process was heard for the first time, or announced longer work than any before:
        a later daemon has to know that."""
        self._to_save.discard(name)
        parts = self._parts
        if name in parts.service_set.instances:
            parts.save([name])


def _notifies(instance: Instance) -> bool:
    """Whether its process may have sent something: it has NOTIFY_SOCKET, or had it under an earlier definition."""
    return instance.running_spec.notifies or instance.spec.notifies
