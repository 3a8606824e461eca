"""The sd_notify protocol, receiving side: parses a datagram of a service and turns it into events.

A datagram holds lines of `FIELD=value`.  It comes from an arbitrary program, so `parse` accepts any bytes and ignores
what it does not know or cannot read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any

from supervisor.core.model import events as ev
from supervisor.core.model.spec import ServiceSpec

MAX_DATAGRAM = 4096
"""Bytes; longer datagrams are ignored (systemd has the same limit)."""
MAX_STATUS = 256
"""Characters; the rest of STATUS= is cut off."""
_LONGEST_NAME = 255

_MICROSECONDS = 1e6  # a second
_U64 = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Message:
    """The content of one datagram.  Durations are in seconds; None or False: the field is absent."""

    ready: bool = False
    beat: bool = False
    trigger: bool = False
    reloading: bool = False
    stopping: bool = False
    barrier: bool = False
    watchdog: float | None = None
    extend: float | None = None
    status: str | None = None
    main_pid: int | None = None
    main_pidfd_id: int | None = None
    """The inode of a pidfd of that process (`MAINPIDFDID=`)."""
    main_pidfd: bool = False
    """The one descriptor that comes with the datagram is a pidfd of the main process."""
    errno: int | None = None
    bus_error: str | None = None
    varlink_error: str | None = None
    delay_reset: bool = False
    fd_store: bool = False
    fd_remove: bool = False
    fd_name: str = ""
    fd_unwatched: bool = False
    """`FDPOLL=0`: stored descriptors stay although they hang up."""
    monotonic: float | None = None
    """When the sender sent it, by its own word, in CLOCK_MONOTONIC seconds (`MONOTONIC_USEC=`)."""
    busy: float | None = None
    """It begins work that may take so long, and does not beat during it (`BUSY_USEC=`, an extension)."""
    doing: str = ""
    """What that work is (`BUSY=`)."""
    sent: float | None = None
    """When the sender sent it, in CLOCK_MONOTONIC seconds (`SENT_USEC=`, an extension of this project)."""


ONE_BEAT = b"WATCHDOG=1"
"""Nearly all datagrams are this one."""
BEAT = Message(beat=True)
"""What it says."""


def parse(datagram: bytes, *, with_descriptors: bool = True) -> Message | None:
    """The content of the datagram, or None if no field in it is known.  Never raises.

    Of repeated fields the last one counts.  BARRIER=1 counts alone: beside other fields it means nothing.
    `with_descriptors`: whether descriptors came with it; FDSTORE=1 and MAINPIDFD=1 mean nothing without."""
    if datagram == ONE_BEAT:
        return BEAT
    if len(datagram) > MAX_DATAGRAM:
        return None
    said: dict[str, Any] = {}
    for line in datagram.split(b"\n"):
        field, _, value = line.partition(b"=")
        read = _FIELDS.get(field)
        if read is not None:
            said.update(read(value))
    if said.pop("barrier", False):
        return Message(barrier=True) if not said else None
    if not with_descriptors:
        said.pop("fd_store", None)
        said.pop("main_pidfd", None)
    return Message(**said) if said else None


def events(
    message: Message,
    spec: ServiceSpec,
    incarnation: int,
    at: float,
    process: tuple[int, int] | None = None,
) -> list[ev.Event]:
    """The events that the message means for the instance that sent it; it arrived at `at`.

    READY=1 and RELOADING=1 count only where readiness or heartbeats are asked of `notify`, WATCHDOG=1 only where
    heartbeats are.
    `main_pid` is left to the caller, which can check that the process belongs to the instance.  `process`: the sender,
    where it beats for itself: what it says of readiness, status and stopping is not said for the instance.
    """
    out: list[ev.Event] = []
    beats = spec.heartbeat is not None and spec.heartbeat.notified
    if message.beat and beats:
        out.append(ev.Heartbeat(incarnation, at, message.sent, process, message.busy, message.doing))
    else:
        out.append(ev.Notified(incarnation))
    if message is BEAT or process is not None:
        return out
    if message.status is not None:
        out.append(ev.StatusText(incarnation, message.status))
    if message.extend is not None:
        out.append(ev.Extended(incarnation, message.extend))
    if beats or (spec.ready is not None and spec.ready.notify):
        if message.reloading:
            out.append(ev.ReloadBegun(incarnation, message.monotonic))
        if message.ready:
            out.append(ev.Ready(incarnation, "notify"))
    if message.delay_reset:
        out.append(ev.DelayReset(incarnation))
    if message.trigger:
        out.append(ev.Triggered(incarnation))
    if message.stopping and spec.heartbeat is not None and spec.heartbeat.by_process:
        out.append(ev.Stopping(incarnation))
    return out


def error_told(message: Message, incarnation: int, meaning: Callable[[int], str]) -> ev.ErrorTold | None:
    """What the message says of a failure; None where it says nothing.  `meaning`: of an error number on this host."""
    number = message.errno
    if number is None and message.bus_error is None and message.varlink_error is None:
        return None
    text = meaning(number) if number else ""
    return ev.ErrorTold(incarnation, number, text, message.bus_error or "", message.varlink_error or "")


WATCHDOG_INTERVALS = 2.1
"""WATCHDOG_USEC in intervals.  Programs beat at half of it, so about once an interval; a little more than two, because
php-fpm ignores what is not above 2 s, which two of the default interval are."""

Reader = Callable[[bytes], dict[str, Any]]


def _flag(name: str) -> Reader:
    return lambda value: {name: True} if value == b"1" else {}


def _number(name: str, minimum: int, maximum: int, unit: float | None = None) -> Reader:
    def read(value: bytes) -> dict[str, Any]:
        if not value.isdigit() or len(value) > 20 or not minimum <= int(value) <= maximum:
            return {}
        return {name: int(value) if unit is None else int(value) / unit}

    return read


def _watchdog(value: bytes) -> dict[str, Any]:
    return {b"1": {"beat": True}, b"trigger": {"trigger": True}}.get(value, {})


def _status(value: bytes) -> dict[str, Any]:
    text = value.decode("utf-8", "replace")
    return {"status": "".join(c for c in text if c.isprintable()).strip()[:MAX_STATUS]}


def _error(name: str) -> Reader:
    return lambda value: {name: _status(value)["status"]}


def _fd_name(value: bytes) -> dict[str, Any]:
    valid = 0 < len(value) <= _LONGEST_NAME and all(32 <= byte < 127 and byte != 58 for byte in value)
    return {"fd_name": value.decode()} if valid else {}


def _fd_poll(value: bytes) -> dict[str, Any]:
    return {"fd_unwatched": True} if value == b"0" else {}


def _busy(value: bytes) -> dict[str, Any]:
    return {"busy": inf} if value == b"infinity" else _number("busy", 0, _U64, _MICROSECONDS)(value)


def _doing(value: bytes) -> dict[str, Any]:
    text = _status(value)["status"]
    return {"doing": text} if text else {}


_FIELDS: dict[bytes, Reader] = {
    b"READY": _flag("ready"),
    b"RELOADING": _flag("reloading"),
    b"STOPPING": _flag("stopping"),
    b"BARRIER": _flag("barrier"),
    b"WATCHDOG": _watchdog,
    b"WATCHDOG_USEC": _number("watchdog", 0, _U64, _MICROSECONDS),
    b"EXTEND_TIMEOUT_USEC": _number("extend", 0, _U64, _MICROSECONDS),
    b"SENT_USEC": _number("sent", 0, _U64, _MICROSECONDS),
    b"STATUS": _status,
    b"BUSY_USEC": _busy,
    b"BUSY": _doing,
    b"MAINPID": _number("main_pid", 1, (1 << 31) - 1),
    b"MAINPIDFDID": _number("main_pidfd_id", 1, _U64),
    b"MAINPIDFD": _flag("main_pidfd"),
    b"MONOTONIC_USEC": _number("monotonic", 0, _U64, _MICROSECONDS),
    b"ERRNO": _number("errno", 0, 4095),
    b"BUSERROR": _error("bus_error"),
    b"VARLINKERROR": _error("varlink_error"),
    b"RESTART_RESET": _flag("delay_reset"),
    b"FDSTORE": _flag("fd_store"),
    b"FDSTOREREMOVE": _flag("fd_remove"),
    b"FDNAME": _fd_name,
    b"FDPOLL": _fd_poll,
}
