"""Orders of users to the cluster: each is a few writes, repeated until they are done.

`move`: a slot goes to a host, once.  `drain`: a host gives its slots back and takes none, until `undrain`.  `evict`:
the slots of a host that no longer answers are taken from it while its session lives, and it is drained.  `summary`,
`record`: read what a host has published last; the daemon itself gives these orders.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from supervisor.core.cluster import documents
from supervisor.core.cluster.bounds import INCIDENTS_BYTES, read
from supervisor.core.cluster.placement import Slot
from supervisor.core.cluster.requests import (
    DRAINS,
    HOSTS,
    INCIDENTS,
    MEMBERS,
    MOVES,
    STATUS,
    Answer,
    Node,
    Request,
    Result,
    Verb,
    owner_path,
    slot_path,
)

if TYPE_CHECKING:
    from supervisor.core.model.cluster_documents import OrderOutcome


class Order(NamedTuple):
    """One order.  `slot`: of `move`."""

    id: str
    verb: str
    node: str
    slot: Slot | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What orders need to know.  `nodes`: as read; `owners`: which host holds each slot; `hosts`: those that have ever
    belonged; `node`: this host; `unfit(slot, node)`: why a host that is there can never hold a slot, empty: it may;
    `member`: no other host has the name of this one; `doubled`: the reason if another host has it, empty: none is
    known."""

    nodes: Mapping[str, Node | None]
    owners: Mapping[Slot, str]
    slots: frozenset[Slot]
    hosts: frozenset[str]
    node: str
    unfit: Callable[[Slot, str], str] = lambda _slot, _node: ""
    member: bool = True
    doubled: str = ""


@dataclass
class _Course:
    """How far an order is: `answers` by request."""

    order: Order
    answers: dict[Request, Answer] = field(default_factory=dict)
    outcome: OrderOutcome | None = None


class Orders:
    """The orders that the daemon lists, each carried out once."""

    def __init__(self) -> None:
        self._courses: dict[str, _Course] = {}
        self._asked: tuple[_Course, Request] | None = None

    def given(self, orders: Iterable[Order]) -> None:
        """Those that the daemon lists now; others are forgotten."""
        listed = {one.id: one for one in orders}
        self._courses = {id_: self._courses.get(id_) or _Course(one) for id_, one in listed.items()}

    def outcomes(self) -> list[OrderOutcome]:
        """What became of those that are listed."""
        return [one.outcome for one in self._courses.values() if one.outcome is not None]

    def next_request(self, known: Known) -> Request | None:
        """The next write or read of the first order that needs one.  A host that is no member changes nothing."""
        for course in self._courses.values():
            if not known.member and course.order.verb not in READS:
                if known.doubled:
                    course.outcome = course.outcome or _outcome(course, known.doubled)
            elif course.outcome is None:
                request = _STEPS[course.order.verb](course, known) if course.order.verb in _STEPS else None
                if request is not None:
                    self._asked = course, request
                    return request
                course.outcome = course.outcome or _outcome(course, f"no such order: {course.order.verb}")
        return None

    def answered(self, answer: Answer) -> None:
        """One that came from here was answered; where it was not, it is repeated."""
        if self._asked is None or self._asked[1] != answer.request:
            return
        course, request = self._asked
        self._asked = None
        if answer.result is Result.REFUSED:
            course.outcome = _outcome(course, answer.reason)
        elif answer.result not in (Result.UNKNOWN, Result.BAD_VERSION):
            course.answers[request] = answer


def _outcome(course: _Course, error: str = "", record: Mapping[str, Any] | None = None) -> OrderOutcome:
    found: OrderOutcome = {"id": course.order.id, "done": not error, "error": error}
    if record is not None:
        found["record"] = dict(record)
    return found


def _move(course: _Course, known: Known) -> Request | None:
    slot, node = course.order.slot, course.order.node
    if slot not in known.slots or slot is None:
        course.outcome = _outcome(course, "no such slot")
        return None
    if node not in known.hosts:
        course.outcome = _outcome(course, _unknown(node, known))
        return None
    unfit = known.unfit(slot, node)
    if unfit:
        course.outcome = _outcome(course, f"{slot.service} cannot run on {node}: {unfit}")
        return None
    text = json.dumps({"node": node})
    path = f"{MOVES}/{slot.service}@{slot.number}"
    return _written(course, path, text)


def _drain(course: _Course, known: Known) -> Request | None:
    if course.order.node not in known.hosts:
        course.outcome = _outcome(course, _unknown(course.order.node, known))
        return None
    return _written(course, f"{DRAINS}/{course.order.node}", "{}")


def _undrain(course: _Course, known: Known) -> Request | None:
    """A host that was evicted is drained although it belongs no more."""
    request = Request(Verb.DELETE, f"{DRAINS}/{course.order.node}")
    if request not in course.answers:
        return request
    absent = course.answers[request].result is Result.NO_NODE and course.order.node not in known.hosts
    course.outcome = _outcome(course, _unknown(course.order.node, known) if absent else "")
    return None


def _evict(course: _Course, known: Known) -> Request | None:
    """Drain it first, so that it takes nothing again; then take its slots, then its name.

    Each slot is marked, so that the next owner waits as long as a lease of the host may still last."""
    node = course.order.node
    drain = Request(Verb.CREATE, f"{DRAINS}/{node}", "{}")
    if drain not in course.answers:
        if node in known.hosts:
            return drain
        course.outcome = _outcome(course, _unknown(node, known))
        return None
    for slot, owner in sorted(known.owners.items()):
        record, held = known.nodes.get(slot_path(*slot)), known.nodes.get(owner_path(*slot))
        if owner != node or record is None or held is None:
            continue
        told = documents.slot_record(record.data)
        if told.evicted:
            return Request(Verb.DELETE, owner_path(*slot), "", held.version, slot_path(*slot), record.version)
        marked = told._replace(clean=False, evicted=True)
        return Request(Verb.SET, slot_path(*slot), documents.dump(marked), record.version)
    for request in (Request(Verb.DELETE, f"{MEMBERS}/{node}"), Request(Verb.DELETE, f"{HOSTS}/{node}")):
        if request not in course.answers:
            return request
    course.outcome = _outcome(course)
    return None


def _summary(course: _Course, known: Known) -> Request | None:
    """What a host has told of its instances, and how long ago: read once, not watched on."""
    return _told(course, known, {"summary": f"{STATUS}/{course.order.node}"})


def _record(course: _Course, known: Known) -> Request | None:
    """The same, with its last failures and events."""
    node = course.order.node
    return _told(course, known, {"summary": f"{STATUS}/{node}", "record": f"{INCIDENTS}/{node}"})


def _told(course: _Course, known: Known, paths: Mapping[str, str]) -> Request | None:
    """This host's own contact, which is new, tells the time by the servers' clock: those of two hosts may differ."""
    own = f"{STATUS}/{known.node}"
    nodes: dict[str, Node | None] = {}
    for path in (own, *paths.values()):
        request = Request(Verb.GET, path)
        if request not in course.answers:
            return request
        nodes[path] = course.answers[request].node
    now, theirs = nodes[own], nodes[paths["summary"]]
    if theirs is None:
        course.outcome = _outcome(course, _unknown(course.order.node, known))
        return None
    found: dict[str, Any] = {name: _read(one.data) if (one := nodes[path]) else None for name, path in paths.items()}
    found["age_s"] = round(max(0.0, now.modified - theirs.modified), 3) if now is not None else 0.0
    course.outcome = _outcome(course, record=found)
    return None


def _written(course: _Course, path: str, text: str) -> Request | None:
    """Create a node, or set it where it is there."""
    create, write = Request(Verb.CREATE, path, text), Request(Verb.SET, path, text)
    created, written = course.answers.get(create), course.answers.get(write)
    if created is None:
        return create
    if created.result is Result.EXISTS and written is None:
        return write
    if written is not None and written.result is Result.NO_NODE:  # it was removed in between
        course.answers.clear()
        return create
    course.outcome = _outcome(course)
    return None


def _unknown(node: str, known: Known) -> str:
    return f"no host {node} has ever belonged to the cluster; known: {', '.join(sorted(known.hosts)) or 'none'}"


def _read(text: str) -> Any:
    try:
        return read(text) if len(text) <= INCIDENTS_BYTES else None
    except ValueError:
        return None


READS = ("summary", "record")
_STEPS: dict[str, Callable[[_Course, Known], Request | None]] = {
    "move": _move, "drain": _drain, "undrain": _undrain, "evict": _evict, "summary": _summary,
    "record": _record,
}  # fmt: skip
