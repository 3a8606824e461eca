"""Fuzzes the notify socket: any bytes, from a service or from another process, with or without descriptors.

A datagram goes through the real socket; its message is applied to three instances by the real rules. Nothing may be
started, signalled or killed by it, other processes must not be taken for a service, and no descriptor may leak.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import socket
import tempfile
from random import Random
from zlib import crc32

from scripts.tools.fuzz.campaign import Wrong
from scripts.tools.fuzz.mutation import NUMBERS, pick, spoil, text
from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.probes.notify_socket import NotifySocket
from supervisor.adapters.processes.attribution import Attribution
from supervisor.core.lifecycle.instance import Instance
from supervisor.core.lifecycle.transitions import step
from supervisor.core.model import actions as act
from supervisor.core.model import events as ev
from supervisor.core.model import sdnotify
from supervisor.core.model.sdnotify import MAX_DATAGRAM, MAX_STATUS, Message
from supervisor.core.model.spec import HeartbeatSpec, ReadySpec, ServiceSpec
from supervisor.core.services.status import instance_view

FIELDS = tuple(sdnotify._FIELDS)
OTHER_FIELDS = (b"NOTIFYACCESS", b"NOTIFYSOCKET", b"", b"ready", b"READY ", b"EXIT_STATUS")
CORPUS = (
    b"READY=1",
    b"WATCHDOG=1",
    b"WATCHDOG=trigger",
    b"READY=1\nSTATUS=Serving 7 clients\nMAINPID=4711",
    b"STOPPING=1\nEXTEND_TIMEOUT_USEC=30000000",
    b"RELOADING=1\nMONOTONIC_USEC=123456789",
    b"WATCHDOG_USEC=20000000\nWATCHDOG=1\nSENT_USEC=123456789012",
    b"ERRNO=2\nEXIT_STATUS=1\nBARRIER=1",
    b"FDSTORE=1\nFDNAME=foobar",
    b"",
)
SPEC = ServiceSpec(
    name="web",
    command=("true",),
    ready=ReadySpec(notify=True),
    heartbeat=HeartbeatSpec(source="notify", min_timeout=1e6, max_timeout=2e6),
)
_LONGEST_WAIT = 1500  # looks of 20 ms
ORDERS = (act.Spawn, act.Signal, act.Kill, act.ReleaseInstance)


class Main:
    """The main process that the attribution knows."""

    instance = "web"


class NotifyTarget:
    """See campaign.Target."""

    def __init__(self) -> None:
        self._descriptors = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        self._place = tempfile.mkdtemp(prefix="fuzz-")
        self._loop = EventLoop()
        self._heard: list[tuple[int, int, Message, float]] = []
        self._problems: list[str] = []
        self._socket = NotifySocket(
            self._loop, f"{self._place}/n", lambda *said: self._heard.append(said), self._problems.append
        )
        self._sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sender.connect(self._socket.path)
        self._passed = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        self._service = Attribution({os.getpid(): Main()}, None, "0123456789abcdef")
        self._stranger = Attribution({}, "/sys/fs/cgroup/no-such-cgroup", "0123456789abcdef")
        self._now = 1000.0
        self._instances = [_starting(), _running(), _stopping()]

    def make(self, rng: Random) -> bytes:
        if rng.random() < 0.3:
            return spoil(rng, pick(rng, CORPUS), CORPUS)[: 2 * MAX_DATAGRAM]
        lines = [_line(rng) for _ in range(1 + int(rng.random() ** 2 * 6))]
        data = pick(rng, (b"\n", b"\n", b"\n", b"\r\n", b"\n\n")).join(lines)
        if rng.random() < 0.02:
            data += b"x" * int(rng.random() * 2 * MAX_DATAGRAM)
        return spoil(rng, data, CORPUS) if rng.random() < 0.2 else data

    def run(self, data: bytes) -> str:
        key = crc32(data)
        passing = key % 61 == 0
        message = sdnotify.parse(data, with_descriptors=passing)
        _judge(message)
        self._send(data, passing=passing)
        heard = [said for _, _, said, _ in self._heard]
        if heard != ([message] if message is not None else []):
            raise Wrong(f"heard {heard}, said {message}")
        if key % 8 == 0:  # it costs more than all the rest
            self._meet_strangers(key % 4_194_304)
        if message is None:
            return "too long" if len(data) > MAX_DATAGRAM else "says nothing"
        if self._service.resolve(self._heard[0][0]) != "web":
            raise Wrong("a service was taken for a stranger")
        self._tell(key % len(self._instances), message)
        return "heard"

    def close(self) -> None:
        self._socket.close()
        self._loop.close()
        self._sender.close()
        os.close(self._passed)
        shutil.rmtree(self._place)
        leaked = len(os.listdir("/proc/self/fd")) - self._descriptors  # noqa: PTH208
        if leaked:
            raise Wrong(f"{leaked} descriptors are left open")

    def _send(self, data: bytes, *, passing: bool) -> None:
        self._heard.clear()
        if passing:
            socket.send_fds(self._sender, [data or b"\0"], [self._passed] * 3)
        else:
            self._sender.send(data)
        self._socket.drain()
        for _ in range(_LONGEST_WAIT):  # until the helper has taken what carried descriptors, on a busy host too
            if not any(sink.busy for sink in self._socket._sinks.values()):
                return
            self._socket.drain()
        raise Wrong("the helper that takes descriptors does not answer")

    def _meet_strangers(self, pid: int) -> None:
        if self._stranger.resolve(pid) is not None or self._stranger.resolve(os.getpid()) is not None:
            raise Wrong("a stranger was taken for a service")

    def _tell(self, which: int, message: Message) -> None:
        """Apply the message to one of the instances, by the rules."""
        instance = self._instances[which]
        before = instance.state
        self._now += 0.001
        for event in sdnotify.events(message, SPEC, instance.incarnation, self._now):
            for action in step(instance, event, self._now):
                if isinstance(action, ORDERS):
                    raise Wrong(f"{message} led to {action}")
        deadline = instance.deadline
        if deadline is not None and not math.isfinite(deadline):
            raise Wrong(f"{message} led to the deadline {deadline}")
        if message.status is not None or message.sent is not None:
            json.dumps(instance_view(instance, self._now), allow_nan=False).encode()
        if instance.state is not before or message.sent is not None:
            self._instances[which] = (_starting, _running, _stopping)[which]()


def _line(rng: Random) -> bytes:
    field = pick(rng, FIELDS) if rng.random() < 0.9 else pick(rng, OTHER_FIELDS)
    roll = rng.random()
    if roll < 0.4:
        value = b"1"
    elif roll < 0.7:
        value = pick(rng, NUMBERS).encode()
    elif roll < 0.9:
        value = text(rng).encode("utf-8", "surrogatepass")
    else:
        value = b"trigger" if roll < 0.95 else rng.randbytes(int(rng.random() * 20))
    return field + b"=" + value


def _judge(message: Message | None) -> None:
    """Check what `parse` guarantees of its results."""
    if message is None:
        return
    if message.status is not None and (len(message.status) > MAX_STATUS or not message.status.isprintable()):
        raise Wrong(f"a status of {len(message.status)} characters: {message.status!r}")
    for duration in (message.watchdog, message.extend, message.sent):
        if duration is not None and not 0 <= duration <= 2e13:
            raise Wrong(f"a duration of {duration}")
    if message.main_pid is not None and not 0 < message.main_pid < 1 << 31:
        raise Wrong(f"a pid of {message.main_pid}")


def _starting() -> Instance:
    instance = Instance("web", SPEC, lambda: 0.5)
    for event in (ev.Start(), ev.StartPermitted(), ev.Spawned(1, 4711)):
        step(instance, event, 0.0)
    return instance


def _running() -> Instance:
    instance = _starting()
    step(instance, ev.Ready(1, "notify"), 0.0)
    return instance


def _stopping() -> Instance:
    instance = _running()
    step(instance, ev.Stop(), 0.0)
    return instance
