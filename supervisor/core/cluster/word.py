"""The messages between agent and daemon: what the daemon has, read into `Local`, and what the agent answers.

`cluster_documents.py` describes both.  What is unreadable raises ValueError, TypeError or KeyError, and is not
followed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from supervisor.core.cluster import share
from supervisor.core.cluster.agent import Agent
from supervisor.core.cluster.bounds import INCIDENTS_BYTES, STATUS_BYTES, compact
from supervisor.core.cluster.lease import MARGIN, Phase
from supervisor.core.cluster.local import Local, Placed, Present
from supervisor.core.cluster.orders import Order
from supervisor.core.cluster.placement import Rules, Slot

if TYPE_CHECKING:
    from supervisor.core.cluster.suspicion import Suspicion
    from supervisor.core.model.cluster_documents import (
        ClusterWord,
        EngineState,
        LeaseDocument,
        MemberDocument,
        ShareDocument,
        SharingHost,
    )

PROBLEMS, HOSTS_BYTES = 20, 128 * 1024


def local(answer: Mapping[str, Any]) -> Local:
    """What the daemon says that it has."""
    present = {
        Slot(one["service"], int(one["slot"])): Present(
            int(one["epoch"] or 0), bool(one["gone"]), bool(one["completed"])
        )
        for one in answer["instances"]
    }
    return Local(
        tuple(_placed(one) for one in answer["services"]), present, bool(answer["able"]), str(answer["reason"]),
        tuple(_order(one) for one in answer.get("orders", ())),
        bounded(answer["status"], STATUS_BYTES) if answer["status"] else "",
        bounded(answer["incidents"], INCIDENTS_BYTES) if answer["incidents"] else "",
        float(answer["heard"]), share.document(answer.get("share")),
    )  # fmt: skip


def tree_names(answer: Mapping[str, Any]) -> dict[Slot, str]:
    """By what name the dead-man knows the instance of each slot."""
    return {Slot(one["service"], int(one["slot"])): str(one["name"]) for one in answer["instances"]}


def bounded(document: Mapping[str, Any], limit: int) -> str:
    """What the daemon publishes for other hosts, as JSON; in place of a text that is too long, a note of that."""
    text = compact(document)
    return text if len(text) <= limit else compact({"too_long": len(text)})


def word(agent: Agent, now: float, since: float, reason: str, suspicion: Suspicion | None = None) -> ClusterWord:
    """What the agent sends to the daemon.  `since`: when ZooKeeper came to be as it is; `reason`: why it is away;
    `suspicion`: what is heard of other hosts, where they beat."""
    own, contact = agent.settings.node, agent.contact
    slots = agent.slots()
    owners = agent.owners()
    done = agent.done()
    leases = agent.leases(now)
    over = {
        Slot(one.service, one.slot) for one in leases if agent.away(now) and one.phase(now) in (Phase.STOP, Phase.KILL)
    }
    if agent.doubled():  # what the other host of this name holds is not held here, nor by a host of another name
        over |= {slot for slot, node in owners.items() if node == own}
    shared = _hosts(agent)
    nowhere = [slot for slot in slots if (slot not in owners or slot in over) and slot.service not in done]
    return {
        "node": own,
        "at": now,
        "engine": _engine(agent, now, since, reason),
        "believe_s": contact.granted - MARGIN if contact is not None else 0.0,
        "leases": [_lease(one) for one in leases],
        "elsewhere": [
            {"service": slot.service, "slot": slot.number, "node": node} for slot, node in owners.items() if node != own
        ],
        "nowhere": [
            {"service": slot.service, "slot": slot.number, "reason": _why_nowhere(agent, slot, now)} for slot in nowhere
        ],
        "completed": sorted(done),
        "members": _members(agent, owners),
        "problems": [*sorted(agent.problems.values())[:PROBLEMS], *_left_out(agent, shared)],
        "outcomes": agent.orders.outcomes(),
        "hosts": shared if agent.knows else None,
        "heard": suspicion.alive() if suspicion is not None else [],
        "suspects": suspicion.suspects() if suspicion is not None else [],
    }


def _engine(agent: Agent, now: float, since: float, reason: str) -> EngineState:
    away = agent.away(now)
    contact = agent.contact
    return {
        "state": "away" if away else "refused" if agent.refused() else "connected",
        "since": since,
        "reason": reason if away else agent.refused(),
        "session": f"{agent.session:x}" if agent.session else "",
        "granted": contact.granted if contact is not None else 0.0,
    }


def _lease(one: Any) -> LeaseDocument:
    return {
        "service": one.service,
        "slot": one.slot,
        "epoch": one.epoch,
        "start_at": round(one.start_at, 6),
        "stop_at": round(one.stop_at, 6),
        "kill_at": round(one.kill_at, 6),
        "released": one.released,
    }


def _members(agent: Agent, owners: Mapping[Slot, str]) -> list[MemberDocument]:
    here, drained = agent.facts.members(), agent.facts.drained()
    counts = Counter(slot.service for slot in agent.slots())
    found: list[MemberDocument] = []
    for node in sorted({*here, *agent.facts.hosts()}):
        one = here.get(node)
        found.append(
            {
                "node": node,
                "address": one.address if one is not None else "",
                "version": one.version if one is not None else "",
                "labels": dict(one.labels) if one is not None else {},
                "here": one is not None,
                "drained": node in drained,
                "taking": one is not None and one.taking and node not in drained,
                "reason": one.reason if one is not None else "it is not there",
                "slots": [s.name(counts[s.service]) for s, owner in sorted(owners.items()) if owner == node],
            }
        )
    return found


def _hosts(agent: Agent) -> list[SharingHost]:
    """The other members, with what they tell of balanced instances, as far as there is room for it in one message."""
    found: list[SharingHost] = []
    left = HOSTS_BYTES
    for node, one in sorted(agent.facts.members().items()):
        if node != agent.settings.node:
            left -= len(compact(one.share))
            told = cast("ShareDocument", one.share if left >= 0 else {})
            found.append({"node": node, "address": one.address, "share": told})
    return found


def _left_out(agent: Agent, shared: list[SharingHost]) -> list[str]:
    members = agent.facts.members()
    names = [one["node"] for one in shared if members[one["node"]].share and not one["share"]]
    if not names:
        return []
    return [f"there is no room for the balanced instances of {len(names)} hosts, which get no requests: {names[0]} …"]


def _why_nowhere(agent: Agent, slot: Slot, now: float) -> str:
    if agent.away(now):
        return agent.silence()
    if agent.gathers(now):
        return "the cluster begins: for a few seconds other hosts are awaited, so that each takes its share"
    bound = agent.why_bound(slot, now)
    if bound:
        return bound
    if slot in agent.owners() and agent.doubled():
        return agent.doubled()
    reasons = agent.why_nowhere(slot, now)
    if not reasons:
        return "no host is there"
    if not all(reasons.values()):
        return "it is being taken"
    return "; ".join(f"{node}: {reason}" for node, reason in sorted(reasons.items()))


def _placed(one: Mapping[str, Any]) -> Placed:
    slots = int(one["instances"]) if one["mode"] == "spread" else 1
    rules = Rules(str(one["service"]), slots, dict(one["require"]), dict(one["prefer"]), str(one["apart"]))
    return Placed(
        rules, str(one["digest"]), float(one["stop_timeout"]), bool(one["wanted"]), bool(one.get("completes"))
    )


def _order(one: Mapping[str, Any]) -> Order:
    slot = Slot(str(one["service"]), int(one.get("slot", 0))) if one.get("service") else None
    return Order(str(one["id"]), str(one["verb"]), str(one["node"]), slot)
