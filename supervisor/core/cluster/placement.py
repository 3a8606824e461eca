"""Which host should hold which slot: the same answer on every host, from the same facts.

Placement is sticky: an owner that may keep its slot keeps it, also where another host would be better.  A host that
is drained, that lacks a required label or whose rules differ gives its slots back.  An order to move a slot is
followed as long as its host may hold the slot.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

Labels = Mapping[str, str]


class Slot(NamedTuple):
    """A slot of a service, counted from 0."""

    service: str
    number: int

    def name(self, slots: int) -> str:
        """That of its instance, as users read it.  `slots`: how many the service has."""
        return self.service if slots == 1 else f"{self.service}@{self.number + 1}"


@dataclass(frozen=True, slots=True)
class Rules:
    """The `placement` of one service.  `slots`: how many instances there are in the cluster; `apart`: a label over
    whose values they are spread first."""

    service: str
    slots: int = 1
    require: Labels = field(default_factory=dict)
    prefer: Labels = field(default_factory=dict)
    apart: str = ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A host that is there.  `services`: those that its own configuration has with the same rules; `may_take`: it may
    take slots; one that is merely short of contact keeps those that it has."""

    node: str
    labels: Labels = field(default_factory=dict)
    services: frozenset[str] = frozenset()
    drained: bool = False
    may_take: bool = True


def place(
    rules: Iterable[Rules],
    candidates: Iterable[Candidate],
    owners: Mapping[Slot, str],
    moves: Mapping[Slot, str] | None = None,
    alone: Mapping[Slot, frozenset[str]] | None = None,
) -> dict[Slot, str]:
    """The host that should hold each slot; a slot for which no host is eligible is left out.

    `owners`: the host that holds a slot now, also one that is not among the candidates (its session still lives); such
    a slot is not given to another host.  `moves`: slots ordered to a host; `alone`: the hosts that alone may take a
    free slot, where not all may.

    Where what is held agrees with the placement of a cluster that begins, that one is followed to its end: so hosts
    that take one slot after the other get equal shares, whichever is the quickest.  Else what is held counts first."""
    hosts = {one.node: one for one in sorted(candidates, key=lambda one: one.node)}
    wanted = sorted(rules, key=lambda one: (-one.slots, one.service))
    slots = {Slot(rule.service, number): rule for rule in wanted for number in range(rule.slots)}
    ordered = moves or {}
    kept = {slot: node for slot, rule in slots.items() if (node := _kept(rule, slot, hosts, owners, ordered))}
    if len(kept) == len(slots):
        return kept
    fresh = _filled(slots, {}, hosts, ordered, alone or {})
    if all(fresh.get(slot) == node for slot, node in kept.items()):
        return fresh
    return _filled(slots, kept, hosts, ordered, alone or {})


def _filled(
    slots: Mapping[Slot, Rules],
    kept: Mapping[Slot, str],
    hosts: Mapping[str, Candidate],
    moves: Mapping[Slot, str],
    alone: Mapping[Slot, frozenset[str]],
) -> dict[Slot, str]:
    """One free slot after the other is given to the host that is best then."""
    placed, held = dict(kept), Counter(kept.values())
    for slot, rule in slots.items():
        may = {node: hosts[node] for node in alone[slot] if node in hosts} if slot in alone else hosts
        best = "" if slot in kept else _best(rule, may, hosts, placed, held, moves.get(slot, ""))
        if best:
            placed[slot] = best
            held[best] += 1
    return placed


def why_not(rule: Rules, host: Candidate) -> str:
    """Why a host may not hold a slot of this service; empty: it may."""
    if rule.service not in host.services:
        return "its configuration has other rules for it"
    if host.drained:
        return "it is drained"
    return lacking(rule, host.labels)


def lacking(rule: Rules, labels: Labels) -> str:
    """Which of the required labels a host has not; empty: it has all."""
    found = [f"{label} = {value}" for label, value in rule.require.items() if labels.get(label) != value]
    return f"it has not the label {', '.join(found)}" if found else ""


def _kept(
    rule: Rules, slot: Slot, hosts: Mapping[str, Candidate], owners: Mapping[Slot, str], moves: Mapping[Slot, str]
) -> str:
    """The owner, if the slot stays where it is; empty: it is free or to be given back."""
    owner = owners.get(slot, "")
    if not owner:
        return ""
    if owner not in hosts:
        return owner
    goal = moves.get(slot, owner)
    ordered_away = goal != owner and goal in hosts and hosts[goal].may_take and not why_not(rule, hosts[goal])
    return "" if ordered_away or why_not(rule, hosts[owner]) else owner


def _best(
    rule: Rules,
    may: Mapping[str, Candidate],
    hosts: Mapping[str, Candidate],
    placed: Mapping[Slot, str],
    held: Mapping[str, int],
    ordered: str,
) -> str:
    """Of the hosts that may take the slot (`may`) the eligible one that an order names, else that has least of this
    service in its zone, is preferred, has least of the service itself, and holds fewest slots; names decide last."""
    eligible = [one for one in may.values() if one.may_take and not why_not(rule, one)]
    if any(one.node == ordered for one in eligible):
        return ordered
    own = [hosts[node] for at, node in placed.items() if at.service == rule.service and node in hosts]
    zones = Counter(one.labels.get(rule.apart, "") for one in own) if rule.apart else Counter()
    nodes = Counter(one.node for one in own)

    def rank(one: Candidate) -> tuple[int, int, int, int, str]:
        zone = zones[one.labels.get(rule.apart, "")] if rule.apart else 0
        preferred = sum(one.labels.get(label) == value for label, value in rule.prefer.items())
        return zone, nodes[one.node], -preferred, held[one.node], one.node

    return min(eligible, key=rank).node if eligible else ""
