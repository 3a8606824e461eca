"""What the agent of a host knows, and what it judges by that: which host each slot belongs to, and whether this one may
take or keep slots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from supervisor.core.cluster import documents
from supervisor.core.cluster.documents import Member, SlotRecord
from supervisor.core.cluster.facts import Facts
from supervisor.core.cluster.failsafe import Failsafe
from supervisor.core.cluster.lease import Contact, fits
from supervisor.core.cluster.local import Local, Placed, Settings
from supervisor.core.cluster.orders import Known
from supervisor.core.cluster.placement import Candidate, Slot, lacking, place, why_not
from supervisor.core.cluster.requests import MEMBERS, Node, Request, owner_path

STALE = 3
"""After so many contact intervals without an answer ZooKeeper is away, and the daemon's word is no longer believed."""
PATIENCE = 3.0
"""Seconds that a dead-man process which died may take to be there again, at least: a busy host starts one slowly,
however often ZooKeeper is written to."""
SETTLE = 5
"""For so many contact intervals a host waits for others where a cluster begins, so that each takes its share."""


@dataclass(slots=True)
class Derived:
    """What follows from the services and from what was read, worked out once.  `slots`: each with its service;
    `placed`, `myself`: by the reason why this host takes nothing; `myself`: with its balanced instances."""

    services: tuple[Placed, ...]
    changes: int
    slots: dict[Slot, Placed]
    owners: dict[Slot, str]
    done: frozenset[str]
    placed: dict[str, dict[Slot, str]] = field(default_factory=dict)
    myself: dict[str, tuple[Mapping[str, Any], str]] = field(default_factory=dict)


class Knowledge:
    """Moments are seconds of CLOCK_BOOTTIME."""

    def __init__(self, settings: Settings, mark: str, began: float = 0.0) -> None:
        """`mark`: unique to this agent and those that go on with its session; `began`: when this agent did."""
        self.settings, self.mark = settings, mark
        self.failsafe = Failsafe(settings.failsafe, began)
        self.session = 0
        self.contact: Contact | None = None
        self._ever = False
        self.local: Local | None = None
        self.facts = Facts()
        self.problems: dict[str, str] = {}
        self.knows = False
        """Whether everything has been read once: until then an unknown slot may be held all the same."""
        self.ending = False
        """This agent ends: it takes nothing any more."""
        self._connected, self._granted = False, 0.0
        self._local_at = -1e9
        self._frozen: Contact | None = None
        self._registered_at: float | None = None
        self._unable_since: float | None = None
        self._stale: dict[Request, None] = {}
        """What has to be read again."""
        self._refused: dict[str, tuple[float, str]] = {}
        self._fits: tuple[tuple[Placed, ...], float, str] = (), 0.0, ""
        self._derived = Derived((), 0, {}, {}, frozenset())

    def done(self) -> frozenset[str]:
        """Services whose oneshot has completed in the cluster, by their present rules."""
        return self._follows().done

    def owners(self) -> Mapping[Slot, str]:
        """Which host holds each slot; one that none holds is left out."""
        return self._follows().owners

    def _follows(self) -> Derived:
        services: tuple[Placed, ...] = self.local.services if self.local is not None else ()
        derived = self._derived
        if derived.services is not services or derived.changes != self.facts.changes:
            slots = {Slot(one.rules.service, number): one for one in services for number in range(one.rules.slots)}
            done = frozenset(slot.service for slot, one in slots.items() if self._is_done(slot, one))
            derived = Derived(services, self.facts.changes, slots, self.facts.owners(slots), done)
            self._derived = derived
        return derived

    def _is_done(self, slot: Slot, one: Placed) -> bool:
        record, _ = self.facts.record(slot)
        return slot.number == 0 and record is not None and record.done and record.digest == one.digest

    def refused(self) -> str:
        """What ZooKeeper does not allow this host; empty: nothing is known."""
        return next((reason for _, reason in self._refused.values()), "")

    def away(self, now: float) -> bool:
        """ZooKeeper has not answered for longer than a lost request explains.

        To a client that asks often kazoo reports a cut only when the session is long over: so the age of the last
        answer counts."""
        limit = STALE * self.settings.contact_interval + self.settings.request_timeout
        return self.contact is None or now - self.contact.sent > limit

    def contact_due(self, asked: float) -> float | None:
        """When a request is due for the sake of contact; None: it was due when the next request was last asked for, at
        `asked`, and there was none, because there is no connection."""
        due = self.contact.sent + self.settings.contact_interval if self.contact is not None else asked
        return due if due > asked else None

    def silence(self) -> str:
        """The reason that is shown while ZooKeeper is away."""
        return "ZooKeeper does not answer" if self._ever else "ZooKeeper has not answered yet"

    def obstacle(self, now: float) -> str:
        """Why this host takes no slot now; empty: it may."""
        if self.away(now):
            return self.silence()
        return self._cannot_take(now) or self.doubled()

    def doubled(self) -> str:
        """The reason if another host has the name of this one; empty: no such host is known."""
        return self.problems.get(f"{MEMBERS}/{self.settings.node}", "")

    def gathers(self, now: float) -> bool:
        """The cluster begins: no host holds a slot, this one has just come, and others may be about to come.

        The wait keeps the first host from taking all slots.  Where all hosts that have ever belonged are there, there
        is nothing to wait for; but in a new cluster their number is not known."""
        since = self._registered_at
        if self.owners() or since is None or now - since >= SETTLE * self.settings.contact_interval:
            return False
        new = not any(record.epoch for record, _ in map(self.facts.record, self.slots()) if record is not None)
        return new or not self.facts.members().keys() >= set(self.facts.hosts())

    def slots(self) -> Mapping[Slot, Placed]:
        """Those of the services that this host's configuration places, each with its service."""
        return self._follows().slots

    def why_nowhere(self, slot: Slot, now: float) -> dict[str, str]:
        """For each host that is there: why it may not hold this slot."""
        assert self.local is not None
        rules = next(one for one in self.local.services if one.rules.service == slot.service)
        drained = self.facts.drained()
        found = {}
        for one in self.facts.members().values():
            same = one.services.get(slot.service) == rules.digest
            host = Candidate(one.node, one.labels, frozenset({slot.service} if same else ()), one.node in drained)
            found[one.node] = (
                why_not(rules.rules, host) or one.reason or self.facts.differs(slot, rules.digest)
                or self._why_alone(slot, one.node)
            )  # fmt: skip
        return found

    def _why_alone(self, slot: Slot, node: str) -> str:
        alone, (record, _) = self.facts.asked(slot), self.facts.record(slot)
        if record is None or not alone or node in alone:
            return ""
        return f"{record.node} held the slot before this host came, and may still run it without ZooKeeper"

    def why_bound(self, slot: Slot, now: float) -> str:
        """Why this host leaves a free slot alone for a while; empty: it does not."""
        record, _ = self.facts.record(slot)
        if record is None or not self.is_bound(record, now):
            return ""
        left = max(1.0, self.failsafe.bound_until - now)
        return (
            f"its last owner may run it without ZooKeeper: {self.settings.node} takes it in {left:.0f} s at the soonest"
        )

    def is_bound(self, record: SlotRecord, now: float) -> bool:
        """This host has promised to leave a slot with this record alone: its last owner has not given it back."""
        return self.failsafe.bound(now) and not (record.clean and record.epoch)

    def settled(self, now: float) -> bool:
        """Nothing that this host holds is to be given back: an agent that ends need not wait."""
        if self.local is None or not self._connected:
            return True
        wanted = self._placed(now)
        held = [slot for slot in self.slots() if self._is_ours(slot)]
        return all(wanted.get(slot) == self.settings.node for slot in held)

    def holds(self) -> bool:
        """Whether this host holds any slot."""
        return any(self._is_ours(slot) for slot in self.slots())

    def _known(self) -> Known:
        hosts = frozenset(self.facts.hosts()) | {self.settings.node}
        slots = frozenset(self.slots())
        member, doubled = self._is_member(), self.doubled()
        return Known(self.facts.nodes, self.owners(), slots, hosts, self.settings.node, self._unfit, member, doubled)

    def _is_member(self) -> bool:
        """The member of this host's name is this host: its node is of the present session."""
        own = self.facts.nodes.get(f"{MEMBERS}/{self.settings.node}")
        return own is not None and own.session == self.session

    def _unfit(self, slot: Slot, node: str) -> str:
        """Which required label a host that is there lacks.  Where the rules of the present owner are other ones than
        those of this host, they count, and are not known here."""
        placed, member = self.slots()[slot], self.facts.members().get(node)
        if member is None or self.facts.differs(slot, placed.digest):
            return ""
        return lacking(placed.rules, member.labels)

    def _last_told(self, now: float) -> Contact | None:
        """The contact as it was when the daemon fell silent; None: it speaks."""
        if now - self._local_at <= STALE * self.settings.contact_interval:
            return None
        self._frozen = self._frozen or self.contact
        return self._frozen

    def _unable(self, now: float, patience: float | None = None) -> str:
        """Why this host gives back the slots that it has; empty: there is no reason.

        What its daemon lacks must be lacking for a while: a dead-man process that died is there again at once."""
        if self.local is None or self.contact is None:
            return "its daemon or ZooKeeper has not answered yet"
        if patience is None:
            patience = max(PATIENCE, STALE * self.settings.contact_interval)
        if self._unable_since is not None and now - self._unable_since >= patience:
            return self.local.reason
        services, granted = self.local.services, self.contact.granted
        if self._fits[0] is not services or self._fits[1] != granted:
            stops = {one.rules.service: one.stop_timeout for one in services}
            found = fits(self.settings.contact_interval, self.settings.request_timeout, granted, stops)
            self._fits = services, granted, found
        return self._fits[2]

    def _cannot_take(self, now: float) -> str:
        """Why this host takes no slot now.  Those that it has it keeps until a lease is over: the daemon may come back,
        and if it does not, the dead-man says when nothing is left."""
        if self.ending:
            return "its agent ends"
        if now - self._local_at > STALE * self.settings.contact_interval:
            return "its daemon does not answer"
        return self._unable(now, 0.0)

    def _myself(self, now: float) -> Member:
        assert self.local is not None
        digests = {one.rules.service: one.digest for one in self.local.services if one.wanted}
        reason, own = self._cannot_take(now), self.settings
        return Member(
            own.node, own.address, own.version, own.labels, digests, not reason, reason, self.local.share, own.key
        )

    def _my_text(self, now: float) -> str:
        """What this host says of itself."""
        assert self.local is not None
        texts, reason, share = self._follows().myself, self._cannot_take(now), self.local.share
        known = texts.get(reason)
        if known is None or known[0] != share:
            known = texts[reason] = (share, documents.dump(self._myself(now)))
        return known[1]

    def _placed(self, now: float) -> dict[Slot, str]:
        """Where each slot should be, by what was read; kept until something else is known."""
        derived, reason = self._follows(), self._cannot_take(now)
        if reason not in derived.placed:
            derived.placed[reason] = self._place(now)
        return derived.placed[reason]

    def _place(self, now: float) -> dict[Slot, str]:
        assert self.local is not None
        members = self.facts.members() | {self.settings.node: self._myself(now)}
        drained = self.facts.drained()
        mine = {one.rules.service: one.digest for one in self.local.services}
        candidates = [
            Candidate(
                one.node, one.labels,
                frozenset(name for name, digest in one.services.items() if mine.get(name) == digest),
                one.node in drained, one.taking,
            )
            for one in members.values()
        ]  # fmt: skip
        moves = self.facts.moves(self.slots())
        alone = {slot: hosts for slot in self.slots() if (hosts := self.facts.asked(slot))}
        return place((one.rules for one in self.local.services), candidates, self.owners(), moves, alone)

    def _held(self, slot: Slot) -> int:
        """The epoch under which this host holds a slot; 0: it does not, or has not written it yet."""
        owner, (record, _) = self.facts.nodes.get(owner_path(*slot)), self.facts.record(slot)
        mine = owner is not None and record is not None and self._is_mine(owner) and record.epoch == owner.created
        return owner.created if mine and owner is not None else 0

    def _is_ours(self, slot: Slot) -> bool:
        owner = self.facts.nodes.get(owner_path(*slot))
        return owner is not None and self._is_mine(owner)

    def _is_mine(self, owner: Node) -> bool:
        """That it exists and bears our name is no ownership: it may be left of our former session."""
        return owner.session == self.session and documents.owner(owner.data).mark == self.mark
