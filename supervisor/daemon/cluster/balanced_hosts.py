"""Balancing over hosts: passes what members publish between the agent, the rules and the balancer.

Rules are in core/services/other_hosts.py.  Services without `balance.hosts = "all"` have no part in it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from supervisor.core.cluster.share import Offer, Share, bounded, dump, read
from supervisor.core.model.daemon_records import host_heard, host_suspected
from supervisor.core.services.balanced import wanted
from supervisor.core.services.other_hosts import Host, OtherHosts, Used

if TYPE_CHECKING:
    from supervisor.core.balancing.slots import Wanted
    from supervisor.core.lifecycle.instance import Instance
    from supervisor.core.model.actions import Action
    from supervisor.core.model.cluster_documents import ClusterWord, ShareDocument
    from supervisor.core.model.cluster_spec import ClusterSpec
    from supervisor.core.model.spec import ServiceSpec
    from supervisor.daemon.parts import Parts

FIRST_WORD = 3.0
"""Seconds after the start of the daemon in which the agent is to tell of other hosts.  Until then slots in HAProxy that
an earlier daemon gave to their instances are left as they are."""


class BalancedHosts:
    """One for each daemon in a cluster."""

    def __init__(self, parts: Parts, spec: ClusterSpec) -> None:
        self._parts = parts
        self._rules = OtherHosts(spec.node, os.urandom(4).hex(), spec.session_timeout)
        self._began = parts.now()
        self._heard = self._shares = False
        self._told: Share | None = None
        self._suspects: set[str] = set()

    def hear(self, word: ClusterWord) -> None:
        """A message of the agent came; an agent of an earlier build sends nothing about other hosts."""
        hosts = word.get("hosts")
        if hosts is None:
            return
        suspects = {str(node) for node in word["suspects"]}
        self._report(suspects)
        found = [
            Host(str(one["node"]), str(one["address"]), read(one["share"]), one["node"] in suspects) for one in hosts
        ]
        heard = frozenset(str(node) for node in word["heard"])
        away = word["engine"]["state"] == "away"
        changed = self._rules.hear(found, heard, self._parts.now(), away=away)
        if changed or not self._heard:
            self._heard = True
            self._wake_balancer()

    def share(self) -> ShareDocument:
        """What this host publishes for the others; empty: it balances nothing over hosts."""
        services = self._parts.service_set.plan.services
        takes = [spec.name for spec in services if spec.over_hosts]
        self._shares = self._shares or bool(takes)
        if not self._shares:
            return {}
        told = self._rules.share(self._offers(), takes, self._used())
        if self._told is not None and told.serial != self._told.serial:
            self._wake_balancer()  # what was withdrawn may be stopped where no other host takes it
        self._told = told
        return dump(bounded(told))

    def wanted(self, spec: ServiceSpec) -> list[Wanted]:
        """What the slots of a service want of the instances of other hosts."""
        return self._rules.wanted(spec.name) if spec.over_hosts else []

    def released(self, instance: Instance) -> bool:
        """No other host sends the instance requests any more."""
        return self._rules.released(instance.name, instance.incarnation)

    def awaited(self, spec: ServiceSpec) -> bool:
        """The agent has not sent yet which instances other hosts have, and is about to."""
        return spec.over_hosts and not self._heard and self._parts.now() - self._began < FIRST_WORD

    def _report(self, suspects: set[str]) -> None:
        records: list[Action] = [host_suspected(node) for node in sorted(suspects - self._suspects)]
        records += [host_heard(node) for node in sorted(self._suspects - suspects)]
        self._suspects = suspects
        if records:
            self._parts.engine.order(records)

    def _offers(self) -> dict[str, tuple[Offer, ...]]:
        """The instances here that take requests."""
        over = [one for one in self._parts.service_set.instances.values() if one.running_spec.over_hosts]
        services = {one.name: one.spec.name for one in over}
        found: dict[str, tuple[Offer, ...]] = {}
        for one in wanted(over):
            if one.serving:
                service, port = services[one.instance], int(one.address.rpartition(":")[2])
                found[service] = (*found.get(service, ()), Offer(one.instance, one.incarnation, port))
        return found

    def _used(self) -> frozenset[Used] | None:
        balancer = self._parts.balancer
        return balancer.used() if balancer is not None else None

    def _wake_balancer(self) -> None:
        if self._parts.balancer is not None:
            self._parts.balancer.hosts_changed()
