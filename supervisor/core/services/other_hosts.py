"""Instances of other hosts behind the HAProxy of this one, and instances of this host behind theirs.

What the registry of members tells becomes what the slots want: an offered instance takes requests, unless its host is
under suspicion.  A host that is not in the registry any more is gone, with one exception: one that had withdrawn
nothing and whose heartbeats are still heard is kept for a while, because a session that ends for a moment (a restart of
an agent, of ZooKeeper) says nothing of its instances.

An instance that stops here is withdrawn first.  It may stop when each host that takes its service has told that it uses
nothing any more of what was withdrawn.  Hosts that are gone or under suspicion, and those that cannot be told because
ZooKeeper is away, are not waited for; the longest wait is `drain` of the service.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from supervisor.core.balancing.slots import Wanted
from supervisor.core.cluster.share import Offer, Share, host_number, reached

Used = tuple[str, int]
"""An instance, as HOST/INSTANCE, and its incarnation."""


@dataclass(frozen=True, slots=True)
class Host:
    """Another member.  `address`: its own, as host:port; `suspect`: its heartbeats fail to come."""

    node: str
    address: str
    share: Share
    suspect: bool = False


class OtherHosts:
    """`run`: unique to this run of the daemon; `keep`: seconds for which a host that vanished without notice is kept
    while its heartbeats come."""

    def __init__(self, node: str, run: str, keep: float) -> None:
        self._node, self._run, self._keep = node, run, keep
        self._hosts: dict[str, Host] = {}
        self._vanished: dict[str, float] = {}
        self._away = False
        self._offered: frozenset[tuple[str, Offer]] = frozenset()
        self._withdrawn: dict[Used, tuple[str, int]] = {}
        self._number = 0
        self._settled: dict[str, str] = {}

    # -- what is heard -------------------------------------------------------------------------------------------

    def hear(self, hosts: Iterable[Host], heard: frozenset[str], now: float, *, away: bool = False) -> bool:
        """The members that are there.  `heard`: those whose heartbeats come; `away`: ZooKeeper is away, so that the
        members are the last known ones.  Returns whether anything has changed."""
        told = {one.node: one for one in hosts if one.node != self._node}
        for node, one in self._hosts.items():
            if node not in told and node in heard:
                since = self._vanished.setdefault(node, now)
                if now - since < self._keep:
                    told[node] = one
            elif node in told:
                self._vanished.pop(node, None)
        self._vanished = {node: since for node, since in self._vanished.items() if node in self._hosts}
        changed = told != self._hosts or away != self._away
        self._hosts, self._away = told, away
        return changed

    def wanted(self, service: str) -> list[Wanted]:
        """What the slots of a service want of the instances of other hosts."""
        return [
            Wanted(f"{one.node}/{offer.instance}", offer.incarnation, f"{host}:{offer.port}", not one.suspect)
            for one in sorted(self._hosts.values(), key=lambda one: one.node)
            if (host := host_number(one.address.rpartition(":")[0]))
            for offer in one.share.offers.get(service, ())
        ]

    # -- what is told --------------------------------------------------------------------------------------------

    def share(
        self, offers: Mapping[str, tuple[Offer, ...]], takes: Iterable[str], used: frozenset[Used] | None
    ) -> Share:
        """What this host publishes.  `used`: the other hosts' instances in its slots, drained ones among them; None:
        not known."""
        present = frozenset((service, offer) for service, some in offers.items() for offer in some)
        gone = self._offered - present
        if gone:
            self._number += 1
        for service, offer in gone:
            self._withdrawn[offer.instance, offer.incarnation] = service, self._number
        for _, offer in present:
            self._withdrawn.pop((offer.instance, offer.incarnation), None)
        self._offered = present
        services = tuple(sorted(takes))
        if used is not None:
            for node, one in self._hosts.items():
                offered = {
                    (f"{node}/{offer.instance}", offer.incarnation)
                    for some in one.share.offers.values()
                    for offer in some
                }
                if one.share.serial and all(use in offered for use in used if use[0].startswith(f"{node}/")):
                    self._settled[node] = one.share.serial
        self._settled = {node: told for node, told in self._settled.items() if node in self._hosts}
        return Share(offers, services, f"{self._run}.{self._number}", self._settled if services else {})

    def released(self, instance: str, incarnation: int) -> bool:
        """No other host sends it requests any more, as far as that can be known."""
        if any((offer.instance, offer.incarnation) == (instance, incarnation) for _, offer in self._offered):
            return False
        service, number = self._withdrawn.get((instance, incarnation), ("", 0))
        takers = [one for one in self._hosts.values() if service in one.share.takes and not one.suspect]
        if not self._away and not all(
            reached(one.share.settled.get(self._node, ""), self._run, number) for one in takers
        ):
            return False
        self._withdrawn.pop((instance, incarnation), None)
        return True
