"""The tables of a cluster's hosts, for the command line and the dashboard: cells of plain text, and tones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from supervisor.core.text.name_patterns import Known, matches
from supervisor.core.text.timestamps import local_time
from supervisor.display.numbers import NOTHING, duration
from supervisor.display.status_row import printable

if TYPE_CHECKING:
    from supervisor.core.model.host_documents import HostsView, HostView, InstanceSummary, SlotWithoutHost

HOST_COLUMNS = ("HOST", "STATE", "READY", "CONTACT", "SLOTS", "NOTE")
INSTANCE_COLUMNS = ("NAME", "HOST", "STATE", "READY", "RUN", "SINCE", "CAUSE")

STALE = 10.0
"""Seconds without a word of the agent after which its last one is old."""
DIGITS = 9
"""Of the number of an instance, at most.  Another host has written it, and Python refuses to read a very long one."""


class Cells(NamedTuple):
    """One row.  `tone`: of its state, by `state_style.COLORS`."""

    texts: tuple[str, ...]
    tone: str


def host_state(host: HostView) -> str:
    """In one word."""
    return "away" if not host["here"] else "drained" if host["drained"] else "here" if host["taking"] else "unable"


def host_cells(host: HostView) -> Cells:
    """The texts under HOST_COLUMNS."""
    state, told = host_state(host), host["summary"]
    ready = f"{told['ready']}/{told['wanted']}" if told is not None else NOTHING
    age = f"{duration(host['age_s'])} ago" if host["age_s"] is not None else NOTHING
    trouble = told is not None and told["missing"] > 0
    tone = "alarm" if state == "away" else "warn" if trouble or state == "unable" else "good"
    texts = (host["node"], state, ready, age, " ".join(host["slots"]) or NOTHING, "; ".join(_host_notes(host)))
    return Cells(tuple(map(printable, texts)), tone)


def _host_notes(host: HostView) -> Iterator[str]:
    told = host["summary"]
    if not host["here"] and host["heard_at"] is not None:
        yield f"last heard {_moment(host['heard_at'])}" + (", drained" if host["drained"] else "")
    elif host["reason"] and not host["taking"] and host["here"]:
        yield host["reason"]
    if told is not None and told["missing"] and host["here"]:
        yield f"{told['missing']} should be up and {'is' if told['missing'] == 1 else 'are'} not"
    if told is not None and told["left_out"]:
        yield f"{told['left_out']} more instances without trouble"
    if host["error"]:
        yield host["error"]


def instance_cells(host: HostView, row: InstanceSummary) -> Cells:
    """The texts under INSTANCE_COLUMNS.  For a host that is away they show the last known state."""
    was = "" if host["here"] else "was "
    ready = NOTHING if was else "yes" if row["ready"] else "no"
    texts = (
        row["name"], host["node"], was + row["state"], ready, str(row["run"] or NOTHING),
        _moment(row["since"]) if row["since"] else NOTHING, row["says"],
    )  # fmt: skip
    tone = "muted" if was else "alarm" if row["missing"] else "good" if row["ready"] else "muted"
    return Cells(tuple(map(printable, texts)), tone)


def instance_rows(view: HostsView, services: Sequence[str] = ()) -> list[Cells]:
    """All instances of these services (none: of all), those of a service together; then slots that no host holds."""
    found = [
        (_order(row["name"]), host["node"], instance_cells(host, row))
        for host in view["hosts"]
        for row in (host["summary"]["instances"] if host["summary"] is not None else ())
        if wanted(row["name"], row["service"], services)
    ]
    found += [
        (_order(one["name"]), "", Cells(_nowhere(one), "alarm"))
        for one in view["nowhere"]
        if wanted(one["name"], one["service"], services)
    ]
    return [cells for _, _, cells in sorted(found, key=lambda one: one[:2])]


def _nowhere(slot: SlotWithoutHost) -> tuple[str, ...]:
    return slot["name"], NOTHING, "nowhere", "no", NOTHING, NOTHING, printable(slot["reason"])


def wanted(name: str, service: str, services: Sequence[str]) -> bool:
    """An instance is meant by one of these names and patterns, or all are meant."""
    return not services or any(matches(pattern, Known(name, service)) for pattern in services)


def heads(view: HostsView) -> Iterator[tuple[str, str]]:
    """What is to be known of the whole, each with its tone."""
    engine = view["engine"]
    if engine["state"] != "connected":
        yield f"ZooKeeper {engine['state']}: {printable(engine['reason'])}", "alarm"
    if view["agent_age_s"] > STALE:
        yield f"the agent of {view['node']} has said nothing for {duration(view['agent_age_s'])}", "alarm"


def trouble(view: HostsView) -> bool:
    """Something that should be up in the cluster is not, or is not known to be."""
    return (
        view["engine"]["state"] != "connected"
        or bool(view["nowhere"])
        or any(not one["here"] and not one["drained"] for one in view["hosts"])
        or any(one["here"] and one["summary"] is not None and one["summary"]["missing"] for one in view["hosts"])
    )


def _order(name: str) -> tuple[str, int]:
    service, _, number = name.partition("@")
    return service, int(number) if number.isdecimal() and len(number) <= DIGITS else 0


def _moment(at: str) -> str:
    return local_time(at)[:19]


def texts(rows: Iterable[Cells]) -> list[tuple[str, ...]]:
    """The rows without their tones."""
    return [row.texts for row in rows]
