"""Explains what happened on another host, from what that host keeps in ZooKeeper: it may be gone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from supervisor.core.text.timestamps import local_time
from supervisor.core.text.units import span

if TYPE_CHECKING:
    from supervisor.core.model.host_documents import HostDetail, HostStory, InstanceSummary
    from supervisor.core.model.story_documents import Why


def known_names(host: HostDetail) -> list[str]:
    """The instances of which the host has published anything."""
    return sorted({name for name, _ in _services(host)})


def stories(host: HostDetail, name: str, holders: Mapping[str, str]) -> list[Why]:
    """What the host has published of a service, or of one instance.  `holders`: which host holds the slot of an
    instance."""
    names = sorted({instance for instance, service in _services(host) if name in (instance, service)})
    return [_why(host, one, holders.get(one, "")) for one in names]


def _services(host: HostDetail) -> Iterator[tuple[str, str]]:
    """Each instance with its service."""
    for row in host["summary"]["instances"] if host["summary"] is not None else ():
        yield row["name"], row["service"]
    for story in host["record"]["stories"] if host["record"] is not None else ():
        yield story["instance"], story["service"]


def _why(host: HostDetail, name: str, holder: str) -> Why:
    rows = host["summary"]["instances"] if host["summary"] is not None else []
    row = next((one for one in rows if one["name"] == name), None)
    told = host["record"]["stories"] if host["record"] is not None else []
    story: HostStory | None = next((one for one in told if one["instance"] == name), None)
    service = row["service"] if row is not None else story["service"] if story is not None else name
    return {
        "instance": name,
        "service": service,
        "state": row["state"] if row is not None else None,
        "ready": row["ready"] if row is not None else None,
        "now": _now(host, name, row),
        "target": None,
        "known_since": story["known_since"] if story is not None else None,
        "failures": story["failures"] if story is not None else 0,
        "false_alarms": story["false_alarms"] if story is not None else 0,
        "excused": [],
        "last_order": story["last_order"] if story is not None else None,
        "incidents": story["incidents"] if story is not None else [],
        "next": {"what": _next(host, name, holder), "in_s": None},
    }


def _now(host: HostDetail, name: str, row: InstanceSummary | None) -> str:
    node, here = host["node"], host["here"]
    if row is None:
        return f"{name} {'does' if here else 'did'} not run on {node}"
    ready = " and ready" if row["ready"] and row["state"] == "running" else ""
    run = f" (run {row['run']})" if row["run"] else ""
    since = f", since {local_time(row['since'])}" if row["since"] else ""
    said = "" if row["says"] in (row["state"], "ready", "") else f": {row['says']}"
    return f"{name} {'is' if here else 'was'} {row['state']}{ready} on {node}{run}{since}{said}"


def _next(host: HostDetail, name: str, holder: str) -> str:
    node = host["node"]
    if holder and holder != node:
        return f"{holder} holds its slot now"
    if host["here"]:
        return f"{node} decides; `supervisor why {name}` tells all there"
    return f"nothing on {node} until it is back"


def contact(host: HostDetail) -> str:
    """Whether the host is there, and the age of what it has published."""
    node, age, at = host["node"], host["age_s"], host["heard_at"]
    if age is None or at is None:
        return f"nothing is known of {node}{_because(host)}"
    if host["here"]:
        return f"record of {node}, {span(age)} old{_because(host)}"
    return f"{node} is away: its last contact was {span(age)} ago, at {local_time(at)}{_because(host)}"


def _because(host: HostDetail) -> str:
    return f" ({host['error']})" if host["error"] else ""
