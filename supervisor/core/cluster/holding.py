"""The slots that a host holds: taken, confirmed by a written epoch, leased to the daemon, and given back.

Every write has a version or a mark, because a request without an answer may have been carried out, or still be.
"""

from __future__ import annotations

from collections.abc import Iterator

from supervisor.core.cluster import documents
from supervisor.core.cluster.documents import Owner, SlotRecord
from supervisor.core.cluster.knowledge import Knowledge
from supervisor.core.cluster.lease import Contact, Lease, lease, start_at
from supervisor.core.cluster.local import Placed, Present, Settings
from supervisor.core.cluster.placement import Slot
from supervisor.core.cluster.requests import MOVES, Node, Request, Result, Verb, owner_path, slot_path

TAKES, REFILL = 10.0, 2.0
"""The slots that may be taken at once beside their number, and how many a second come to be allowed again."""
FAILSAFE = "failsafe"
"""The key of the problem that says whether slots are kept without ZooKeeper."""
LOST_DATA = 60.0
"""Seconds until a slot whose epoch would be smaller than the one before is tried again."""


class Holding(Knowledge):
    """Moments are seconds of CLOCK_BOOTTIME."""

    def __init__(self, settings: Settings, mark: str, began: float = 0.0) -> None:
        """As of `Knowledge`."""
        super().__init__(settings, mark, began)
        self._starts: dict[Slot, tuple[int, float]] = {}
        self._written: dict[Slot, tuple[int, float]] = {}
        self._released: dict[Slot, float] = {}
        self._spent: dict[Slot, int] = {}
        self._backwards: dict[Slot, float] = {}
        self._proven: dict[Slot, Contact] = {}
        """The last contact at which each slot was still ours."""
        self._tokens, self._refilled = TAKES, 0.0

    def leases(self, now: float) -> list[Lease]:
        """What this host may run, and until when.

        A daemon that is silent gets no longer leases: when those that it may have heard of are over, it starts nothing
        under them, also if it goes on later."""
        found = []
        if self.contact is None or self.local is None:
            return []
        told = self._last_told(now) or self.contact
        wanted, unable = self._placed(now), bool(self._unable(now))
        for slot, one in self.slots().items():
            epoch, starts = self._starts.get(slot, (0, 0.0))
            proven = self._proven.get(slot)
            if not epoch or epoch != self._held(slot) or self._is_clean(slot) or proven is None:
                continue
            contact = min(told, proven, key=lambda one: one.kill_at)
            leaving = unable or wanted.get(slot) != self.settings.node or self._spent.get(slot) == epoch
            if leaving:
                self._released.setdefault(slot, now)
            else:
                self._released.pop(slot, None)
            made = lease(*slot, epoch, contact, one.stop_timeout, starts, released=leaving)
            kept = self.failsafe.kept(slot, epoch)
            found.append(made._replace(stop_at=kept - one.stop_timeout, kill_at=kept) if kept > made.kill_at else made)
        return found

    # -- without ZooKeeper -------------------------------------------------------------------------------------------

    def hosts_to_ask(self, now: float) -> list[str]:
        """The other hosts to ask for a promise now, because ZooKeeper has not answered for longer than a request may
        take.  `promised` takes their answers."""
        safe, own = self.failsafe, self.settings
        away = self.contact is not None and now - self.contact.sent > own.contact_interval + own.request_timeout
        leases = [one for one in self.leases(now) if now < one.kill_at] if safe.seconds and away else []
        if not leases or self._last_told(now) is not None:
            self.problems.pop(FAILSAFE, None)
            return []
        asks_now = safe.ask(now, own.contact_interval / 2)
        self.promised(own.node, now, safe.seconds, now)
        asks = [safe.asks(Slot(one.service, one.slot), one.epoch) for one in leases]
        hosts = sorted(frozenset().union(*asks))
        silent = safe.silent(hosts, now, own.contact_interval + own.request_timeout)
        if silent or not all(asks):
            who = f"no answer of {', '.join(silent)}" if silent else "it is not known who has to answer"
            self.problems[FAILSAFE] = f"failsafe does not hold, and the leases of this host end: {who}"
        else:
            self.problems[FAILSAFE] = "ZooKeeper does not answer: this host keeps its slots as long as all hosts answer"
        return [one for one in hosts if one != own.node] if asks_now else []

    def promised(self, node: str, sent: float, seconds: float, now: float) -> None:
        """Another host has promised to take nothing for so long, when it was asked at `sent`.

        Only what has begun is kept: a host that is cut off starts nothing.  No more than a session counts, because a
        host that is named in a record later may then take the slot.  A daemon that is silent gets no longer leases by
        this either."""
        self.failsafe.promised(node, sent, min(seconds, self._granted))
        for one in self.leases(now) if self._last_told(now) is None else ():
            slot = Slot(one.service, one.slot)
            if self._has_begun(slot, one.epoch):
                self.failsafe.keep(slot, one.epoch, one.kill_at, now)

    def promise(self, node: str, now: float) -> float:
        """Another host asks this one to take nothing.  For how many seconds it promises that; 0: it does not."""
        unstarted = any(self._is_ours(slot) and not self._may_start(slot, now) for slot in self.slots())
        evicted = self.knows and node not in self.facts.hosts()
        if not self.failsafe.seconds or unstarted or evicted:
            return 0.0
        self.failsafe.promise(now)
        return self.failsafe.seconds

    def _has_begun(self, slot: Slot, epoch: int) -> bool:
        return self.local is not None and self.local.present.get(slot, Present(0, gone=True)).epoch == epoch

    def _may_start(self, slot: Slot, now: float) -> bool:
        epoch, starts = self._starts.get(slot, (0, 0.0))
        return epoch != 0 and epoch == self._held(slot) and now >= starts

    def _to_ask(self) -> tuple[str, ...]:
        """The hosts that may take what this one holds, for the records of its slots."""
        return tuple(sorted({*self.facts.hosts(), self.settings.node})) if self.failsafe.seconds else ()

    def _prove(self) -> None:
        """A contact says that the session lives, not that a slot is still ours: a person may have taken it (`evict`).

        A server tells a change of a node before it answers a later write on the same connection.  So a contact counts
        for the slots whose owner's node was read on this connection and did not change since; for others the one
        before goes on to count."""
        for slot in self.slots():
            known = Request(Verb.GET, owner_path(*slot)) not in self._stale
            if known and self.contact is not None and self._is_ours(slot):
                self._proven[slot] = self.contact

    def _is_clean(self, slot: Slot) -> bool:
        record, _ = self.facts.record(slot)
        return record is not None and record.clean

    def _changes(self, now: float) -> Iterator[Request]:
        """Slots to take, to confirm, and to give back."""
        assert self.local is not None
        wanted = self._placed(now)
        for slot, one in self.slots().items():
            record, at = self.facts.record(slot)
            owner = self.facts.nodes.get(owner_path(*slot))
            if record is None:
                continue
            if owner is None:
                takes = wanted.get(slot) == self.settings.node and self._tokens_left(now) >= 1.0
                if takes and self._may_take(slot, one, record, now):
                    text = documents.dump(Owner(self.settings.node, self.mark))
                    yield Request(Verb.CREATE_EPHEMERAL, owner_path(*slot), text)
            elif self._is_mine(owner):
                yield from self._own(slot, one, record, at, owner, wanted.get(slot), now)
            move = f"{MOVES}/{slot.service}@{slot.number}"
            order = self.facts.nodes.get(move)
            if order is not None and self._held(slot) and documents.target(order.data) == self.settings.node:
                yield Request(Verb.DELETE, move, version=order.version)

    def _own(
        self, slot: Slot, one: Placed, record: SlotRecord, version: int, owner: Node, goal: str | None, now: float
    ) -> Iterator[Request]:
        """What a held slot needs: its epoch written before anything is started, or its end."""
        assert self.local is not None
        present = self.local.present.get(slot, Present(0, gone=True))
        delete = Request(Verb.DELETE, owner_path(*slot), "", owner.version, slot_path(*slot), version)
        last = max(record.epoch, present.epoch)
        if last > owner.created:
            message = f"its last epoch is {last}, the new one would be {owner.created}"
            self.problems[owner_path(*slot)] = f"{message}: ZooKeeper has lost its data"
            self._backwards[slot] = now + LOST_DATA
            yield delete
            return
        silent = self._last_told(now)
        clean = record.clean and record.epoch == owner.created
        spent = clean or self._spent.get(slot) == owner.created
        leaving = goal != self.settings.node or spent or silent is not None or bool(self._unable(now))
        if record.epoch < owner.created:
            if leaving or self.facts.differs(slot, one.digest):
                yield delete
            elif not self.is_bound(record, now):
                self.problems.pop(owner_path(*slot), None)
                taken = SlotRecord(owner.created, self.settings.node, False, one.digest, asks=self._to_ask())
                yield Request(Verb.SET, slot_path(*slot), documents.dump(taken), version)
            return
        named = not self.failsafe.seconds or self.failsafe.names(slot, owner.created, self._to_ask())
        if not (named or leaving or record.evicted):
            yield Request(Verb.SET, slot_path(*slot), documents.dump(record._replace(asks=self._to_ask())), version)
        done = one.completes and present.completed and present.epoch == record.epoch
        if not present.gone or not (leaving or done):
            return
        if silent is not None:
            if now < max(silent.kill_at, self.failsafe.kept(slot, owner.created)):  # it may have gone on
                return
        elif not (spent or done or self._stopped_for_good(slot)):
            return
        if not (record.clean or record.evicted) or (done and not record.done):
            epoch, starts = self._starts.get(slot, (0, 0.0))
            waited = epoch == owner.created and now >= starts  # else what the owner before ran may not have ended yet
            ended = record._replace(clean=waited, evicted=not waited, done=done or record.done)
            yield Request(Verb.SET, slot_path(*slot), documents.dump(ended), version)
        else:
            yield delete

    def _may_take(self, slot: Slot, one: Placed, record: SlotRecord, now: float) -> bool:
        """The slot is free, nothing of ours is left of an earlier epoch, and all is fresh."""
        assert self.local is not None
        present = self.local.present.get(slot, Present(0, gone=True))
        if not self._is_member():
            return False
        if not present.gone or self._stale or self._cannot_take(now) or self._backwards.get(slot, now) > now:
            return False
        alone = self.facts.asked(slot)
        if self.is_bound(record, now) or (alone and self.settings.node not in alone):
            return False
        if self.gathers(now) or (record.done and record.digest == one.digest):
            return False
        return not self.facts.differs(slot, one.digest)

    def _stopped_for_good(self, slot: Slot) -> bool:
        """The daemon said that nothing is left after it had heard that the slot is given back: before that it may be
        about to start the instance again."""
        assert self.local is not None
        released = self._released.get(slot)
        return released is not None and (self.local.heard is None or self.local.heard >= released)

    def _spend(self, request: Request) -> None:
        """Whatever comes of a request that says or does that this host has no part in a slot any more, its epoch is not
        used again."""
        for slot in self.slots():
            owner = self.facts.nodes.get(owner_path(*slot))
            if owner is None or not self._is_mine(owner):
                continue
            clean = request.verb is Verb.SET and request.path == slot_path(*slot)
            clean = clean and self._says_end(request.data)
            if not clean and request.verb is Verb.SET and request.path == slot_path(*slot):
                self.failsafe.writes(slot, documents.slot_record(request.data).asks)
            if clean or (request.verb is Verb.DELETE and request.path == owner_path(*slot)):
                self._spent[slot] = owner.created

    @staticmethod
    def _says_end(text: str) -> bool:
        record = documents.slot_record(text)
        return record.clean or record.evicted

    def _wrote(self, request: Request, result: Result, now: float) -> None:
        """An epoch was written.  The last owner's record decides from when the slot's instance may start.

        Whether the owner's node is still ours is read again first: an earlier request to delete it, which was given up,
        may have been carried out."""
        if request.verb is not Verb.SET or result is not Result.DONE:
            return
        written = documents.slot_record(request.data)
        for slot in self.slots():
            if slot_path(*slot) == request.path and not written.clean and not written.evicted:
                (before, _), lost = self.facts.record(slot), self.facts.lost(slot)
                self.failsafe.wrote(slot, written.epoch, written.asks)
                if before is not None and before.epoch == written.epoch:  # it only names other hosts to ask
                    continue
                clean = before is not None and before.clean and not lost
                wait = self._granted if lost or (before is not None and before.evicted) else 0.0
                starts = start_at(now, self.settings.tick_time, clean=clean, evicted=wait)
                self._written[slot] = (written.epoch, starts)
                self._stale[Request(Verb.GET, owner_path(*slot))] = None

    def _confirm(self, path: str) -> None:
        """The owner's node was read after its epoch was written: the lease begins."""
        for slot in self.slots():
            if owner_path(*slot) == path and slot in self._written:
                epoch, starts = self._written.pop(slot)
                node = self.facts.nodes.get(path)
                if node is not None and node.created == epoch and self._is_mine(node):
                    self._starts[slot] = (epoch, starts)

    def _recognize(self, now: float) -> None:
        """A slot that is held without a known beginning was taken by an agent before this one, in the same session.

        If its instance has begun, its wait is over; else the longest one begins again."""
        for slot in self.slots():
            epoch = self._held(slot)
            if epoch and slot not in self._written and self._starts.get(slot, (0, 0.0))[0] != epoch:
                begun = self._has_begun(slot, epoch)
                wait = 0.0 if begun else self.settings.tick_time + self._granted
                self._starts[slot] = (epoch, now + wait if begun else max(now + wait, self.failsafe.bound_until))

    def _tokens_left(self, now: float) -> float:
        """A bucket of slots to take: a fault that makes us take and give back for ever stays slow.  All slots may be
        taken at once, and giving back is never delayed."""
        self._tokens = min(TAKES + len(self.slots()), self._tokens + REFILL * (now - self._refilled))
        self._refilled = now
        return self._tokens
