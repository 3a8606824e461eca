"""What an observer outside sees: begin, end and epoch of every tree of processes, by one clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from supervisor.core.cluster import documents
from supervisor.core.cluster.holding import Holding
from supervisor.core.cluster.lease import Lease
from supervisor.core.cluster.placement import Slot
from supervisor.core.cluster.requests import DRAINS, MEMBERS, SLOTS, Node, Request, Verb, owner_path, slot_path
from supervisor.core.cluster.versions import Health, Phase, Record, limit
from tests.simulation.cluster.host import Host, Running
from tests.simulation.cluster.pushed import OWN_FILE, Version

if TYPE_CHECKING:
    from tests.simulation.cluster.world import World

KILL_TAKES = 0.6
"""Seconds from the end of a lease until nothing is left: SIGKILL takes half a second at most."""


class Violation(AssertionError):
    """A promise was broken."""


class Observer:
    def __init__(self, world: World) -> None:
        self.world = world
        self.checks = 0
        self._ends: dict[tuple[Host, Slot, int], float] = {}
        self._epochs: dict[Slot, int] = {}
        self._drained: dict[str, float] = {}
        self._told_drain: dict[str, float] = {}
        """When a server has first told a host of its drain."""
        self._proven: dict[Host, float] = {}
        self._promises: dict[tuple[str, str], float] = {}
        self._known: list[tuple[float, frozenset[Version]]] = []
        """The versions that hosts may run, from each write of the record on."""
        self._kept_versions = {OWN_FILE}
        self._record = Record()
        self._lost_at = -1e9

    def proven(self, host: Host, sent: float) -> None:
        """A server has carried out a write of a host, sent at that moment: its session lives for its timeout."""
        self._proven[host] = max(sent, self._proven.get(host, 0.0))

    def promised(self, host: Host, to: str, until: float) -> None:
        """A host has promised another one to take nothing."""
        self._promises[host.node, to] = until

    def _kept(self, host: Host, slot: Slot, epoch: int) -> float:
        """Until when all that may take a slot have promised its owner not to; for ever where it is another's now."""
        node = self._nodes().get(slot_path(*slot))
        record = documents.slot_record(node.data) if node is not None else None
        if record is None or record.epoch != epoch or not self.world.failsafe:
            return float("inf") if self.world.failsafe else 0.0
        asked = [one for one in record.asks if one != host.node]
        return min((self._promises.get((one, host.node), 0.0) for one in asked), default=float("inf"))

    def leased(self, host: Host, lease: Lease) -> None:
        """An agent tells a lease."""
        key = host, Slot(lease.service, lease.slot), lease.epoch
        end = host.world_time(lease.kill_at)
        self._ends[key] = max(self._ends.get(key, 0.0), end)
        earliest = self._proven.get(host, 0.0) + 0.999 * self.world.granted
        kept = self._kept(host, key[1], lease.epoch)
        if end + 0.5 > max(earliest, kept):
            raise Violation(f"{host.node} has a lease until {end:.2f}, and its session may end at {earliest:.2f}")
        gone = self.world.ensemble.gone.get(lease.epoch)
        if gone is not None and end + 0.5 > max(gone + self.world.granted, kept):
            what = f"{host.node} has a lease of {self.world.name(key[1])} until {end:.2f}"
            raise Violation(f"{what}, which was taken from it at {gone:.2f}")

    def watched(self, host: Host) -> None:
        """A daemon does not run from now on: if it stays so, the dead-man ends what it ran."""
        daemon, before = host.daemon, list(host.trees)
        ends = self.world.now + self.world.granted + KILL_TAKES

        def look() -> None:
            if (host.daemon is daemon and (daemon.stopped_at or not daemon.alive)) and "dead-man" not in host.broken:
                if daemon.alive and daemon.stopped_at + self.world.granted > self.world.now:
                    return
                for tree in before:
                    if tree in host.trees:
                        raise Violation(f"{tree.name} on {host.node} runs without its daemon")

        self.world.at(ends, look)

    def drained(self, node: str, since: float | None) -> None:
        if since is None:
            self._drained.pop(node, None)
            self._told_drain.pop(node, None)
        else:
            self._drained.setdefault(node, since)

    def told_drain(self, host: Host) -> None:
        """A server tells a host that it is drained."""
        if host.node in self._drained:
            self._told_drain.setdefault(host.node, self.world.now)

    def began(self, tree: Running) -> None:
        """A tree of processes begins."""
        world, host, slot = self.world, tree.host, tree.slot
        what = f"{host.node} starts {tree.name} under epoch {tree.epoch}"
        world.trace(what)
        self.checks += 1
        for other in world.running(slot):
            if other is not tree:
                raise Violation(f"{what} while {other.host.node} runs it under epoch {other.epoch}")
        before = self._epochs.get(slot, 0)
        if tree.epoch < before:
            raise Violation(f"{what}, after epoch {before}")
        self._epochs[slot] = tree.epoch
        if world.now > self.end_of(tree):
            raise Violation(f"{what}, whose lease was over")
        known = (tree.name, tree.epoch) in host.dead_man.man.trees
        if not known and "dead-man" not in host.broken:
            raise Violation(f"{what}, which the dead-man does not know")
        first = before != tree.epoch
        if host.cut and (first or not world.failsafe) and world.now - host.cut_since > world.granted:
            raise Violation(f"{what}, cut off from ZooKeeper for {world.now - host.cut_since:.1f} s")
        late = self._late()
        drained = self._drained.get(host.node)
        told = self._told_drain.get(host.node, float("inf"))
        heard = drained is not None and world.now - min(told, max(drained, host.unheard)) > late
        if first and drained is not None and heard and f"{DRAINS}/{host.node}" in self._nodes():
            raise Violation(f"{what}, drained for {world.now - drained:.1f} s")
        self._await_end(tree)

    def asked(self, host: Host, request: Request) -> None:
        """An agent asks for a slot, or writes its epoch: with a version of the configuration that is in force, and not
        by other rules than those of the last owner, where a host with those has long been there."""
        if request.path.startswith(SLOTS) and request.verb is Verb.CREATE_EPHEMERAL:
            self._judge_version(host, f"{host.node} takes {request.path}", host.saved.version)
        if not request.path.startswith(SLOTS) or self.world.now - host.rules_since <= self._late():
            return
        takes = request.verb is Verb.CREATE_EPHEMERAL
        begins = request.verb is Verb.SET and not Holding._says_end(request.data)
        for slot in self.world.slots if takes or begins else ():
            node = self._nodes().get(slot_path(*slot))
            if node is None or request.path not in (owner_path(*slot), slot_path(*slot)):
                continue
            record = documents.slot_record(node.data)
            if begins and documents.slot_record(request.data).epoch == record.epoch:
                continue  # its owner names other hosts to ask
            digest = record.digest
            others = [one for one in self.world.hosts if one is not host and self._follows(one, slot, digest)]
            if digest not in ("", host.digest_of(slot.service)) and others:
                what = f"{host.node} takes {self.world.name(slot)}"
                raise Violation(f"{what} by other rules than its last owner and {others[0].node}")

    # -- pushed configurations -------------------------------------------------------------------------------------

    def recorded(self) -> None:
        """The record of pushed configurations was written."""
        record = self.world.record
        if record is None:
            return
        going = record.phase is not Phase.SETTLED
        known = {(n, record.digest(n)) for n in {record.in_force, record.number if going else record.in_force}}
        self._known.append((self.world.now, frozenset(known)))
        self._judge_wave(record)
        self._judge_end(self._record, record)
        self._record = record

    def _judge_end(self, before: Record, record: Record) -> None:
        """No version comes into force that has failed on a host in its turn."""
        if before.phase is not Phase.ROLLING or record.phase is not Phase.SETTLED or record.in_force != before.number:
            return
        version = record.in_force, record.digest(record.in_force)
        for host in self.world.hosts:
            pushed, turn = host.daemon.pushed, before.turns.get(host.node)
            told = turn is not None and turn.number == record.in_force and pushed.told == version
            if told and pushed.health is Health.FAILED:
                raise Violation(f"version {record.in_force} comes into force, and has failed on {host.node}")

    def _judge_wave(self, record: Record) -> None:
        """No more hosts change at a time than may."""
        changing = [
            host.node for host in self.world.hosts
            if (turn := record.turns.get(host.node)) and turn.number == record.goal and not turn.given_up
            and self._changes(host, record)
        ]  # fmt: skip
        most = limit(record.max_unavailable, len(self.world.hosts))
        if len(changing) > most:
            raise Violation(f"{changing} change to version {record.goal} at a time, and {most} may")

    def lost(self) -> None:
        """ZooKeeper has lost its data: until the next push every host keeps what it runs."""
        if self._known:
            self._kept_versions = self._good()
        self._known.clear()
        self._lost_at = self.world.now

    def changes(self, host: Host, version: Version) -> None:
        """A host begins to change to a version: one that is in force, or that is being rolled out."""
        self.checks += 1
        what = f"{host.node} changes to version {version[0]}"
        self._judge_version(host, what, version)
        if not self._known and version not in self._kept_versions:
            raise Violation(f"{what}, and the record is lost")
        record = self.world.record
        if record is not None:
            self._judge_wave(record)

    def _changes(self, host: Host, record: Record) -> bool:
        pushed = host.daemon.pushed
        told = pushed.told == (record.goal, record.digest(record.goal))
        return host.up and host.daemon.alive and told and pushed.health is Health.CHANGING

    def _judge_version(self, host: Host, what: str, version: Version) -> None:
        if not self._known or self.world.now - self._lost_at <= self._late() + self.world.granted:
            return
        good = self._good()
        if version not in good:
            numbers = sorted(number for number, _ in good)
            raise Violation(f"{what} by version {version[0]} of the configuration, where {numbers} were in force")

    def _good(self) -> set[Version]:
        """The versions that a host may follow: it may not have heard of the newest record yet."""
        late = self.world.now - self._late() - self.world.granted
        ends = [moment for moment, _ in self._known[1:]] + [self.world.now]
        good = {one for (_, found), end in zip(self._known, ends, strict=True) if end >= late for one in found}
        return good | {OWN_FILE} if not self._known or self._known[0][0] >= late else good

    def end_of(self, tree: Running) -> float:
        """When its lease is over, by what its agent said."""
        return self._ends.get((tree.host, tree.slot, tree.epoch), 0.0)

    def _nodes(self) -> dict[str, Node]:
        return self.world.ensemble.nodes

    def _late(self) -> float:
        """Seconds after which each host with a session has heard of a change."""
        return self.world.granted + 2 * self.world.request_timeout + self.world.tick

    def _follows(self, host: Host, slot: Slot, digest: str) -> bool:
        """It has long been a member that says that it has these rules for the service."""
        path = f"{MEMBERS}/{host.node}"
        member = documents.member(node.data) if (node := self._nodes().get(path)) is not None else None
        same = member is not None and member.services.get(slot.service) == digest
        return same and self.world.now - self.world.ensemble.since[path] > self._late()

    def _await_end(self, tree: Running) -> None:
        def look() -> None:
            if tree not in tree.host.trees:
                return
            self.checks += 1
            end = self.end_of(tree)
            if self.world.now >= end + KILL_TAKES:
                where = f"{tree.name} under epoch {tree.epoch} on {tree.host.node}"
                raise Violation(f"{where} runs {self.world.now - end:.1f} s after its lease")
            self.world.at(end + KILL_TAKES, look)

        self.world.at(self.end_of(tree) + KILL_TAKES, look)
