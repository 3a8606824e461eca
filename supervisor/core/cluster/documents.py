"""What the nodes in ZooKeeper hold, as JSON.  Another build may have written it: what is unreadable counts as
missing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from supervisor.core.cluster import share
from supervisor.core.cluster.bounds import read
from supervisor.core.cluster.hosts import is_name

LONGEST = 500
"""Characters of an address, a version or a reason."""
KEPT, MEMBERS_KEPT = 1024, 64
"""Texts whose meaning is remembered: an agent looks at the same nodes again and again.  Those of members are long."""


class Member(NamedTuple):
    """What a host publishes of itself.  `services`: the digest of the rules of each placed service in its
    configuration; `taking`: it may take slots; `reason`: why it may not; `share`: of its balanced instances (share.py);
    `key`: of its heartbeats to other members; empty: it sends none."""

    node: str
    address: str = ""
    version: str = ""
    labels: Mapping[str, str] = {}
    services: Mapping[str, str] = {}
    taking: bool = True
    reason: str = ""
    share: Mapping[str, Any] = {}
    key: str = ""


class Host(NamedTuple):
    """A host that has ever belonged to the cluster."""

    node: str
    address: str = ""
    version: str = ""


class SlotRecord(NamedTuple):
    """What is known of a slot beyond its owner's session.

    `epoch`: of the last owner that may have started something; `clean`: that owner has said that nothing is left;
    `digest`: the rules by which it was held; `done`: a oneshot with these rules has completed, so no host runs it;
    `evicted`: the slot was taken from that owner while its session lived; `asks`: the hosts that this owner asks for a
    promise while ZooKeeper is away (failsafe.py), empty where it asks none."""

    epoch: int = 0
    node: str = ""
    clean: bool = True
    digest: str = ""
    done: bool = False
    evicted: bool = False
    asks: tuple[str, ...] = ()


class Owner(NamedTuple):
    """The owner's node.  `mark`: unique to one attempt to take the slot."""

    node: str
    mark: str


def dump(document: NamedTuple) -> str:
    """The text of a node, the same for the same content."""
    return json.dumps(document._asdict(), sort_keys=True, separators=(",", ":"))


@lru_cache(MEMBERS_KEPT)
def member(text: str) -> Member | None:
    """A host's own words."""
    raw = _object(text)
    node, labels, services = raw.get("node"), raw.get("labels", {}), raw.get("services", {})
    if not (isinstance(node, str) and is_name(node) and _words(labels) and _words(services)):
        return None
    return Member(
        node, str(raw.get("address", ""))[:LONGEST], str(raw.get("version", ""))[:LONGEST], labels, services,
        raw.get("taking") is True, str(raw.get("reason", ""))[:LONGEST], share.document(raw.get("share")),
        str(raw.get("key", "")),
    )  # fmt: skip


@lru_cache(KEPT)
def slot_record(text: str) -> SlotRecord:
    """A slot's record; a new one where nothing was written.  What is damaged counts as left by an unclean end."""
    if not text:
        return SlotRecord()
    raw = _object(text)
    epoch = raw.get("epoch")
    if type(epoch) is not int:
        return SlotRecord(clean=False)
    return SlotRecord(
        epoch, str(raw.get("node", "")), raw.get("clean") is True, str(raw.get("digest", "")), raw.get("done") is True,
        raw.get("evicted") is True, _names(raw.get("asks")),
    )  # fmt: skip


@lru_cache(KEPT)
def owner(text: str) -> Owner:
    """Who holds a slot; empty words where that is unreadable."""
    raw = _object(text)
    return Owner(str(raw.get("node", "")), str(raw.get("mark", "")))


@lru_cache(KEPT)
def target(text: str) -> str:
    """The host to which a slot was ordered."""
    return str(_object(text).get("node", ""))


def _object(text: str) -> dict[str, Any]:
    try:
        raw = read(text)
    except ValueError:
        return {}
    return raw if isinstance(raw, dict) else {}


def _names(value: object) -> tuple[str, ...]:
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list) else ()


def _words(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(one, str) for one in value.values())
