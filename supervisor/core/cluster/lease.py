"""Until when an instance of an exclusive service may run: its lease, counted from the last answered request.

The owner of a slot holds it as long as its ZooKeeper session lives, and no server ends a session earlier than its
timeout after it heard the last request.  The owner cannot know when that was, but it was not before the request was
sent: so the lease counts from the *sending* of the last request that was answered.  A notice that the connection is
lost comes too late, or never (Curator had two leaders by it; Patroni counts as we do).

All moments are seconds of CLOCK_BOOTTIME, which is the same for all processes of a host, counts while the host
sleeps, and is never set.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple

MARGIN = 1.0
"""Seconds between the kill and the earliest end of the session: SIGKILL takes effect, and clocks run differently."""


class Phase(StrEnum):
    """What a lease allows at a moment."""

    WAIT = "wait"
    """The slot is held, and the processes of the owner before may still end."""
    RUN = "run"
    STOP = "stop"
    """The rest of the lease is needed for an orderly stop."""
    KILL = "kill"
    """It is over: nothing may be left."""


class Contact(NamedTuple):
    """The present session: its timeout as the server granted it, and when its last answered request was sent."""

    granted: float
    sent: float

    @property
    def kill_at(self) -> float:
        """When nothing that needs this session may run any more."""
        return self.sent + self.granted - MARGIN


class Lease(NamedTuple):
    """One slot that this host holds.

    `epoch`: the number of the owner's node, which grows with each owner; `start_at`: earliest start; `released`: the
    owner wants to give the slot back, so the instance is to be stopped in order."""

    service: str
    slot: int
    epoch: int
    start_at: float
    stop_at: float
    kill_at: float
    released: bool = False

    def phase(self, now: float) -> Phase:
        """What is allowed now."""
        if now >= self.kill_at:
            return Phase.KILL
        if self.released or now >= self.stop_at:
            return Phase.STOP
        return Phase.WAIT if now < self.start_at else Phase.RUN

    @property
    def key(self) -> tuple[str, int]:
        """The service and the number of the slot."""
        return self.service, self.slot


def lease(
    service: str, slot: int, epoch: int, contact: Contact, stop_timeout: float, start_at: float, *, released: bool
) -> Lease:
    """The lease of a held slot by the last contact.  `stop_timeout`: seconds that an orderly stop may take."""
    kill_at = contact.kill_at
    return Lease(service, slot, epoch, start_at, kill_at - stop_timeout, kill_at, released)


def start_at(taken: float, tick_time: float, *, clean: bool, evicted: float = 0.0) -> float:
    """When the new owner of a slot may start.  `taken`: when its node was confirmed; `clean`: the owner before had said
    that nothing of it was left; `evicted`: the longest lease, where the slot was taken from an owner whose session
    lived.

    A server tells the leader within a tick which sessions it has heard of.  If it is cut off before that, the leader
    ends the session up to a tick too early, which the new owner waits for."""
    return taken if clean else taken + tick_time + evicted


def fits(
    contact_interval: float, request_timeout: float, session_timeout: float, stop_timeouts: Mapping[str, float]
) -> str:
    """Why these times, in seconds, leave no room for an orderly stop of an exclusive service; empty: they do.

    One request may be lost, the next one be answered late, and then the longest stop must still end in time."""
    if not stop_timeouts:
        return ""
    longest = max(stop_timeouts, key=lambda name: (stop_timeouts[name], name))
    needed = contact_interval + 2 * request_timeout + stop_timeouts[longest] + MARGIN
    if needed <= session_timeout:
        return ""
    return (
        f"a session of {session_timeout:g} s is too short: contact_interval {contact_interval:g} s + 2 × "
        f'request_timeout {request_timeout:g} s + stop_timeout {stop_timeouts[longest]:g} s of "{longest}" + '
        f"{MARGIN:g} s are {needed:g} s"
    )


def next_deadline(leases: Iterable[Lease], now: float) -> float | None:
    """When a phase of one of these leases changes next."""
    moments = (moment for one in leases for moment in (one.start_at, one.stop_at, one.kill_at))
    return min((moment for moment in moments if moment > now), default=None)
