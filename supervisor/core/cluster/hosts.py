"""How any member shows the hosts of a cluster: what is known of each member, and what each has published last.

What was read may be of another version, or damaged: a document without the fields that it should have counts as
unknown.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from supervisor.core.cluster.placement import Slot
from supervisor.core.text.timestamps import to_iso

if TYPE_CHECKING:
    from supervisor.core.model.cluster_documents import ClusterWord, MemberDocument
    from supervisor.core.model.host_documents import (
        HostDetail,
        HostRecord,
        HostSummary,
        HostsView,
        HostView,
        SlotWithoutHost,
    )

_SUMMARY = {"wanted": int, "ready": int, "missing": int, "left_out": int, "instances": list}
_INSTANCE = {"name": str, "service": str, "goal": str, "state": str, "ready": bool, "missing": bool, "run": int,
             "says": str}  # fmt: skip
_RECORD = {"stories": list, "events": list, "left_out": int}
_STORY = {"instance": str, "service": str, "failures": int, "false_alarms": int, "incidents": list}
_INCIDENT = {"at": str, "incarnation": int, "cause": str, "outcome": str, "says": str, "detail": dict, "seen": list,
             "captured": list, "said": list, "decided": list, "after": list}  # fmt: skip
_EVENT = {"id": int, "at": str, "service": str, "instance": str, "incarnation": int, "from": str, "to": str,
          "cause": str, "detail": dict}  # fmt: skip
SILENT = "its agent has said nothing yet"


class Told(NamedTuple):
    """What a host has published.  `age`: seconds since its last contact; `error`: why it may be old."""

    summary: HostSummary | None = None
    record: HostRecord | None = None
    age: float | None = None
    error: str = ""


def is_name(text: str) -> bool:
    """Whether a host can have this name, which is a part of paths."""
    return re.fullmatch(r"[\w.-]+", text, re.ASCII) is not None and text not in (".", "..")


def told(outcome: Mapping[str, Any]) -> Told:
    """The outcome of an order to read it."""
    if not outcome["done"]:
        return Told(error=str(outcome["error"]))
    read = outcome["record"]
    return Told(_summary(read.get("summary")), _record(read.get("record")), float(read["age_s"]))


def members(word: ClusterWord | None, own: str) -> dict[str, MemberDocument]:
    """Those that the agent knows, and this host."""
    found = {one["node"]: one for one in word["members"]} if word is not None else {}
    return {own: nothing(own), **found}


def nothing(node: str) -> MemberDocument:
    """A host of which nothing is known."""
    return {
        "node": node, "address": "", "version": "", "labels": {}, "here": False, "drained": False, "taking": False,
        "reason": "", "slots": [],
    }  # fmt: skip


def host_view(member: MemberDocument, known: Told, wall: float) -> HostView:
    """One host.  `wall`: seconds since the epoch."""
    return {
        "node": member["node"],
        "here": member["here"],
        "drained": member["drained"],
        "taking": member["taking"],
        "reason": member["reason"],
        "slots": member["slots"],
        "age_s": known.age,
        "heard_at": to_iso(round(wall - known.age)) if known.age is not None else None,
        "summary": known.summary,
        "error": known.error,
    }


def host_detail(member: MemberDocument, known: Told, wall: float) -> HostDetail:
    """One host with its record."""
    return {**host_view(member, known, wall), "record": known.record}


def hosts_view(word: ClusterWord | None, own: str, age: float, views: Iterable[HostView]) -> HostsView:
    """All hosts.  `age`: seconds since the agent's last message."""
    engine = word["engine"] if word is not None else None
    return {
        "node": own,
        "engine": engine or {"state": "away", "since": 0.0, "reason": SILENT, "session": "", "granted": 0.0},
        "agent_age_s": round(age, 3),
        "nowhere": _nowhere(word) if word is not None else [],
        "hosts": sorted(views, key=lambda one: one["node"]),
    }


def _nowhere(word: ClusterWord) -> list[SlotWithoutHost]:
    slots = {(one["service"], one["slot"]) for one in (*word["leases"], *word["elsewhere"], *word["nowhere"])}
    several = Counter(service for service, _ in slots)
    return [{**one, "name": Slot(one["service"], one["slot"]).name(several[one["service"]])} for one in word["nowhere"]]


def _summary(raw: Any) -> HostSummary | None:
    sound = _has(raw, _SUMMARY) and all(_has(one, _INSTANCE) for one in raw["instances"])
    return cast("HostSummary", raw) if sound else None


def _record(raw: Any) -> HostRecord | None:
    if not _has(raw, _RECORD):
        return None
    stories = [one for one in raw["stories"] if _has(one, _STORY) and all(_has(i, _INCIDENT) for i in one["incidents"])]
    events = [one for one in raw["events"] if _has(one, _EVENT)]
    return cast("HostRecord", {**raw, "stories": stories, "events": events})


def _has(raw: Any, fields: Mapping[str, type]) -> bool:
    return isinstance(raw, dict) and all(isinstance(raw.get(name), kind) for name, kind in fields.items())
