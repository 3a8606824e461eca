"""What an agent has read of ZooKeeper, by path: nodes, and the names below directories."""

from __future__ import annotations

from collections.abc import Iterable

from supervisor.core.cluster import documents
from supervisor.core.cluster.documents import Member, SlotRecord
from supervisor.core.cluster.placement import Slot
from supervisor.core.cluster.requests import DRAINS, HOSTS, MEMBERS, MOVES, SLOTS, Node, owner_path, slot_path


class Facts:
    """`nodes`: those that were read, None where there is none; `names`: what lies below a directory; `changes`: grows
    whenever something else is read than before."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node | None] = {}
        self.names: dict[str, tuple[str, ...]] = {}
        self.changes = 0
        self._epochs: dict[str, int] = {}
        self._members: tuple[int, dict[str, Member]] = -1, {}

    def read(self, path: str, node: Node | None) -> None:
        """A node was read."""
        if path not in self.nodes or self.nodes[path] != node:
            self.nodes[path] = node
            self.changes += 1
        if node is not None and path.startswith(f"{SLOTS}/"):
            self._epochs[path] = max(documents.slot_record(node.data).epoch, self._epochs.get(path, 0))

    def listed(self, path: str, names: tuple[str, ...]) -> None:
        """What lies below a directory was read."""
        if self.names.get(path) != names:
            self.names[path] = names
            self.changes += 1

    def forget(self, path: str) -> None:
        """A node is gone, and is of no interest any more."""
        del self.nodes[path]
        self.changes += 1

    def lost(self, slot: Slot) -> bool:
        """A slot's record is older than one that was read before: ZooKeeper has lost its data, and a run that is not in
        the record may still go on."""
        record, _ = self.record(slot)
        return (record.epoch if record is not None else 0) < self._epochs.get(slot_path(*slot), 0)

    def owners(self, slots: Iterable[Slot]) -> dict[Slot, str]:
        """Which host holds each of these slots; one that none holds is left out."""
        found = {}
        for slot in slots:
            node = self.nodes.get(owner_path(*slot))
            if node is not None:
                found[slot] = documents.owner(node.data).node
        return found

    def moves(self, slots: Iterable[Slot]) -> dict[Slot, str]:
        """To which host each of these slots is ordered."""
        found = {}
        for slot in slots:
            order = self.nodes.get(f"{MOVES}/{slot.service}@{slot.number}")
            if order is not None:
                found[slot] = documents.target(order.data)
        return found

    def members(self) -> dict[str, Member]:
        """The hosts that are there, by name."""
        if self._members[0] != self.changes:
            read = (self.nodes.get(f"{MEMBERS}/{name}") for name in self.names.get(MEMBERS, ()))
            known = (documents.member(node.data) for node in read if node is not None)
            self._members = self.changes, {one.node: one for one in known if one is not None}
        return self._members[1]

    def hosts(self) -> tuple[str, ...]:
        """Those that have ever belonged to the cluster, and were not evicted."""
        return self.names.get(HOSTS, ())

    def drained(self) -> frozenset[str]:
        """Those that a person has drained."""
        return frozenset(self.names.get(DRAINS, ()))

    def record(self, slot: Slot) -> tuple[SlotRecord | None, int]:
        """What is written of a slot, and its version; None where it was not read."""
        node = self.nodes.get(slot_path(*slot))
        return (documents.slot_record(node.data), node.version) if node is not None else (None, -1)

    def asked(self, slot: Slot) -> frozenset[str]:
        """The hosts that alone may take a slot, because its last owner asks them before it keeps the slot without
        ZooKeeper; empty: any host may.  Where all of them were evicted, a user has said that they run nothing."""
        record, _ = self.record(slot)
        if record is None or record.clean or not set(record.asks) & set(self.hosts()):
            return frozenset()
        return frozenset(record.asks)

    def differs(self, slot: Slot, digest: str) -> str:
        """Why hosts with these rules take no free slot: its last owner had other ones, and a host with those is there,
        so that these are the ones that differ.  Empty: they may."""
        record, _ = self.record(slot)
        if record is None or record.digest in ("", digest):
            return ""
        same = sorted(one.node for one in self.members().values() if one.services.get(slot.service) == record.digest)
        return (
            f"its configuration has other rules for it than its last owner, and than {', '.join(same)}" if same else ""
        )
