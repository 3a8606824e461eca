"""The slots of one balanced service: FREE → ACTIVE → DRAINING → FREE, decided from what is wanted and what was seen.

A backend of HAProxy has a fixed number of servers, the slots.  An instance that takes requests has one; giving and
taking slots needs no reload.  The state that is wanted here counts: what a look finds different is set again.

- Only a ready instance has an ACTIVE slot.  When it is not ready any more, for any reason, the slot is DRAINING at once
  and is put into maintenance: no request is sent to it any more, not even one with its cookie, and running ones go on.
- A DRAINING slot is FREE, and may be given to another instance, only after a look that began after HAProxy had
  confirmed the maintenance, and that showed no session, queue or connection.
- Without an answer it is not known whether the command was carried out.  The slot is set again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class SlotState(StrEnum):
    """What a slot is used for."""

    FREE = "free"
    ACTIVE = "active"
    DRAINING = "draining"


class Wanted(NamedTuple):
    """An instance that is to have a slot (`serving`), or to be without requests.

    `leaving`: it is to be stopped, and waits until it is drained."""

    instance: str
    incarnation: int
    address: str
    serving: bool
    leaving: bool = False


class Seen(NamedTuple):
    """A slot as a look found it.  Sessions, queue and connections are the sums over all workers of HAProxy.

    `lingering`: an old worker, which finishes its connections, still sends requests to it."""

    number: int
    ready: bool
    address: str
    sessions: int = 0
    queue: int = 0
    connections: int = 0
    lingering: bool = False

    @property
    def used(self) -> bool:
        return bool(self.sessions or self.queue or self.connections)


class Command(NamedTuple):
    """Put a slot into service with this address (`ready`), or into maintenance."""

    number: int
    ready: bool
    address: str = ""


@dataclass(slots=True)
class Slot:
    """One slot.  `ready` and `there`: its state and address in HAProxy, as far as known (None, "").

    `sent`: the command whose answer is awaited.  `changed`: when the last answer came, or the command was lost."""

    number: int
    state: SlotState = SlotState.FREE
    instance: str = ""
    incarnation: int = 0
    address: str = ""
    since: float = 0.0
    ready: bool | None = None
    there: str = ""
    sent: Command | None = None
    changed: float = float("-inf")

    def give(self, wanted: Wanted, now: float) -> None:
        self.state, self.since = SlotState.ACTIVE, now
        self.instance, self.incarnation, self.address = wanted.instance, wanted.incarnation, wanted.address

    def free(self, now: float) -> None:
        self.state, self.since = SlotState.FREE, now
        self.instance, self.incarnation, self.address = "", 0, ""


class Slots:
    """The slots of one service.

    `want` takes what is wanted, `look` what HAProxy shows; `commands` returns what to send.  The answers of these go to
    `confirmed` or `lost`.  Before the first complete look nothing is sent: another daemon may have given the slots."""

    def __init__(self, count: int) -> None:
        self.slots = [Slot(number) for number in range(1, count + 1)]
        self.known = False
        """The slots were read since this daemon began, or HAProxy was started by it."""
        self.read = False
        """The worker that answers was looked at as a whole."""
        self._loaded = 0
        """How many slots the worker that answers has; no other can be told anything."""
        self._wanted: dict[str, Wanted] = {}

    # -- what is wanted ------------------------------------------------------------------------------------------

    def want(self, wanted: Iterable[Wanted], now: float) -> None:
        """Take what is wanted now: slots of instances that serve no more are drained at once, and those that serve get
        one."""
        self._wanted = {one.instance: one for one in wanted}
        if not self.known:
            return
        for slot in self.slots:
            if slot.state is SlotState.ACTIVE and not self._serves(slot):
                slot.state, slot.since = SlotState.DRAINING, now
        for one in self._waiting():
            own = (s for s in self.slots if s.state is SlotState.DRAINING and _belongs(s, one))
            found = next(own, None) or next((s for s in self.slots if s.state is SlotState.FREE and _empty(s)), None)
            if found is not None:
                found.give(one, now)

    def grow(self, count: int) -> None:
        """Have at least so many slots; the new ones are not in HAProxy before it is reloaded."""
        self.slots += [Slot(number) for number in range(len(self.slots) + 1, count + 1)]

    @property
    def lacking(self) -> int:
        """How many instances serve and have no slot, although every slot is used."""
        return len(self._waiting()) if self.known and not any(s.state is SlotState.FREE for s in self.slots) else 0

    def drained(self) -> list[str]:
        """The instances that are to be stopped and have no request left in any slot."""
        busy = {slot.instance for slot in self.slots if slot.state is not SlotState.FREE}
        return [one.instance for one in self._wanted.values() if one.leaving and self.read and one.instance not in busy]

    def _serves(self, slot: Slot) -> bool:
        one = self._wanted.get(slot.instance)
        return one is not None and one.serving and _belongs(slot, one)

    def _waiting(self) -> list[Wanted]:
        has = {slot.instance for slot in self.slots if slot.state is SlotState.ACTIVE}
        return [one for one in self._wanted.values() if one.serving and one.instance not in has]

    # -- what is to be sent --------------------------------------------------------------------------------------

    def commands(self) -> list[Command]:
        """The commands that HAProxy needs now; each counts as sent."""
        out = []
        for slot in self.slots:
            if slot.number > self._loaded or not self.known:
                break
            if slot.sent is None and (command := _next(slot)) is not None:
                slot.sent = command
                out.append(command)
        return out

    def confirmed(self, command: Command, now: float) -> None:
        """HAProxy has carried out the command."""
        slot = self.slots[command.number - 1]
        if slot.sent == command:
            slot.sent, slot.changed, slot.ready = None, now, command.ready
            if command.ready:
                slot.there = command.address

    def lost(self, commands: Iterable[Command], now: float) -> None:
        """No answer came, or a refusal: the commands may or may not have been carried out."""
        for command in commands:
            slot = self.slots[command.number - 1]
            if slot.sent == command:
                slot.sent, slot.changed, slot.ready = None, now, None

    # -- what is seen --------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Another worker answers now.  It has read a file of ours, and what it made of it is seen by the next look."""
        self.read, self._loaded = False, 0
        for slot in self.slots:
            slot.sent, slot.ready, slot.there, slot.changed = None, None, "", float("-inf")

    def fresh(self, now: float) -> None:
        """HAProxy does not run, and is about to be started from the file: no slot has a session."""
        self.begin()
        self.known = True
        for slot in self.slots:
            if slot.state is SlotState.DRAINING:
                slot.free(now)
            slot.ready = False

    def look(self, seen: Sequence[Seen], began: float, now: float, *, whole: bool) -> None:
        """Take a look that began at `began`.  `whole`: it showed every slot.

        It says nothing of a slot whose last command was under way when it began."""
        for found in seen:
            if found.number > len(self.slots):
                self.grow(found.number)
            slot = self.slots[found.number - 1]
            if slot.sent is not None or slot.changed > began:
                continue
            slot.ready, slot.there = found.ready, found.address
            if slot.state is SlotState.FREE and (found.ready or found.used or found.lingering):
                self._take_over(slot, found, now)
            if slot.state is not SlotState.ACTIVE:
                slot.ready = found.ready or found.lingering
            if slot.state is SlotState.DRAINING and not slot.ready and not found.used:
                slot.free(now)
        if whole:
            self.known, self.read, self._loaded = True, True, max((found.number for found in seen), default=0)

    def _take_over(self, slot: Slot, found: Seen, now: float) -> None:
        """The slot is in use, and was not given by this daemon: its address tells to which instance it was given."""
        owner = next((one for one in self._wanted.values() if one.address == found.address), None)
        if owner is not None:
            slot.give(owner, now)
        slot.address = found.address
        if self.known or owner is None or not found.ready:
            slot.state, slot.since = SlotState.DRAINING, now

    @property
    def unsettled(self) -> bool:
        """A look is due soon: a slot is being drained, or its state in HAProxy is not known."""
        return not self.read or any(s.state is SlotState.DRAINING or s.ready is None for s in self.slots)

    @property
    def draining(self) -> list[int]:
        """The numbers of the slots that are being drained."""
        return [slot.number for slot in self.slots if slot.state is SlotState.DRAINING]


def _belongs(slot: Slot, one: Wanted) -> bool:
    return (slot.instance, slot.incarnation, slot.address) == (one.instance, one.incarnation, one.address)


def _empty(slot: Slot) -> bool:
    """It is in maintenance, as far as HAProxy has told; a slot that was freed and is not yet told is not given away."""
    return slot.ready is False and slot.sent is None


def _next(slot: Slot) -> Command | None:
    """What HAProxy has to be told of the slot; an address is changed only in maintenance."""
    if slot.state is not SlotState.ACTIVE:
        return None if slot.ready is False else Command(slot.number, ready=False)
    if slot.ready and slot.there == slot.address:
        return None
    if slot.ready and slot.there:
        return Command(slot.number, ready=False)
    return Command(slot.number, ready=True, address=slot.address)
