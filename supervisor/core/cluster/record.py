"""What a host keeps of itself in ZooKeeper, to be read when it is gone: a summary, the last failures and events.

Each is bounded, and says how much was left out.  What matters most stays: instances in trouble, the newest incidents,
the newest events.  Nothing is written that the redactor would hide.  The texts change only where something has changed,
so that a host at rest writes nothing more.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any, TypeVar, cast

from supervisor.core.cluster.bounds import STATUS_BYTES, compact
from supervisor.core.text.causes import ending, phrase
from supervisor.core.text.redact import text_without_secrets
from supervisor.core.text.timestamps import to_iso
from supervisor.core.text.units import shorten
from supervisor.core.text.waiting import runs_elsewhere, waits_for

if TYPE_CHECKING:
    from supervisor.core.model.documents import Event
    from supervisor.core.model.host_documents import HostRecord, HostStory, HostSummary, InstanceSummary
    from supervisor.core.model.instance_documents import Instance
    from supervisor.core.model.story_documents import IncidentStory, Why

T = TypeVar("T")
INCIDENTS, EVENTS = 3, 100
"""Incidents of an instance, and events of the host, that are kept at most."""
REMOVED = 20
"""Stories of instances that are in the configuration no more: the newest ones."""
STORY_BYTES, STORIES_BYTES, EVENTS_BYTES = 6 * 1024, 40 * 1024, 20 * 1024
"""Of one instance's incidents, of all, and of the events."""
LINE, DETAIL_BYTES = 200, 300
"""Characters of a line, and bytes of one value in the detail of an event; a longer value is left out."""
CUTS = ((INCIDENTS, 12), (1, 12), (1, 4), (1, 1))
"""How a story is made shorter: incidents, and lines of each list in one."""
_LISTS = ("seen", "captured", "said", "decided", "after")


def summary(rows: Iterable[Instance], missing: frozenset[str], wall: float, before: HostSummary | None) -> HostSummary:
    """The instances of a host.  `missing`: those that should be up and are not; `wall`: seconds since the epoch;
    `before`: the last summary, whose moments stay where nothing has changed."""
    known = {one["name"]: one for one in before["instances"]} if before is not None else {}
    here = [row for row in rows if not runs_elsewhere(row)]
    wanted = [row for row in here if row["goal"] == "up" and row["cause"] != "succeeded"]
    found = [_instance(row, row["name"] in missing, wall, known.get(row["name"])) for row in here]
    kept = {one["name"] for one in _fitting(sorted(found, key=_importance), STATUS_BYTES - 200)}
    return {
        "wanted": len(wanted),
        "ready": sum(row["ready"] for row in wanted),
        "missing": sum(row["name"] in missing for row in here),
        "instances": [one for one in found if one["name"] in kept],
        "left_out": len(found) - len(kept),
    }


def story(told: Why) -> HostStory:
    """What is kept of the failures of one instance: without what was captured as a whole, and in fewer lines where
    there are many."""
    found: HostStory = {
        "instance": told["instance"],
        "service": told["service"],
        "known_since": told["known_since"],
        "failures": told["failures"],
        "false_alarms": told["false_alarms"],
        "last_order": None,
        "incidents": [],
    }
    if told["last_order"] is not None:
        found["last_order"] = {"at": told["last_order"]["at"], "says": _line(told["last_order"]["says"])}
    for incidents, lines in CUTS:
        found["incidents"] = [_incident(one, lines) for one in told["incidents"][-incidents:]]
        if len(compact(found)) <= STORY_BYTES:
            break
    return found


def remembered(stories: Mapping[str, HostStory], here: Container[str]) -> dict[str, HostStory]:
    """The stories that are kept.  `here`: the instances of the present configuration; of others the newest incidents
    alone, so that a host whose configuration changes again and again keeps no more and more of them."""
    failed = (name for name, one in stories.items() if name not in here and one["incidents"])
    removed = set(sorted(failed, key=lambda name: _newest(stories[name]))[-REMOVED:])
    return {name: one for name, one in stories.items() if name in here or name in removed}


def record(stories: Iterable[HostStory], events: Sequence[Event]) -> HostRecord:
    """The stories of instances that have incidents, and the last events, oldest first."""
    failed = sorted((one for one in stories if one["incidents"]), key=_newest, reverse=True)
    kept = list(_fitting(failed, STORIES_BYTES))
    last = list(_fitting(map(_event, reversed(events[-EVENTS:])), EVENTS_BYTES))
    return {"stories": kept, "events": last[::-1], "left_out": len(failed) - len(kept)}


def without_secrets(value: Any, name: str = "") -> Any:
    """A value of JSON without what the redactor hides; `name`: its key, which may say that it is a secret."""
    if isinstance(value, Mapping):
        return {key: without_secrets(one, str(key)) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [without_secrets(one, name) for one in value]
    if not isinstance(value, str):
        return value
    return _redacted(f"{name}={value}").partition("=")[2] if name.isidentifier() else _redacted(value)


@lru_cache(1024)
def _redacted(text: str) -> str:
    return text_without_secrets(text)


def _line(text: str) -> str:
    """Shortened last: a form that is known is known as a whole."""
    return shorten(_redacted(text[: 20 * LINE]), LINE)


def _instance(row: Instance, missing: bool, wall: float, before: InstanceSummary | None) -> InstanceSummary:
    found: InstanceSummary = {
        "name": row["name"],
        "service": row["service"],
        "goal": row["goal"],
        "state": row["state"],
        "ready": row["ready"],
        "missing": missing,
        "run": row["incarnation"],
        "since": to_iso(round(wall - row["since_s"])) if row["since_s"] is not None else None,
        "says": _line(_says(row)),
    }
    if before is not None and {**before, "since": found["since"]} == found:
        found["since"] = before["since"]
    return found


def _says(row: Instance) -> str:
    if row.get("maintenance"):
        return "in maintenance"
    if row["lingering"]:
        return f"cannot be killed: {', '.join(row['lingering'])}"
    if row["waiting_for"]:
        return f"waiting for {waits_for(row)}"
    return phrase(row["cause"], ending(row), LINE)


def _importance(one: InstanceSummary) -> int:
    return 0 if one["missing"] else 1 if one["state"] not in ("running", "stopped", "exited") else 2


def _newest(one: HostStory) -> str:
    return one["incidents"][-1]["at"]


def _incident(one: IncidentStory, lines: int) -> IncidentStory:
    texts = cast("Mapping[str, list[str]]", one)
    lists = {name: [_line(text) for text in texts[name][:lines]] for name in _LISTS}
    lists["said"] = [_line(text) for text in one["said"][-lines:]]
    place = _line(one["place"]) if one["place"] is not None else None
    changed: Any = {"says": _line(one["says"]), "place": place, "detail": {}, "evidence_id": None, **lists}
    return {**one, **changed}


def _event(one: Event) -> Event:
    kept = {key: value for key, value in one["detail"].items() if len(compact(value)) <= DETAIL_BYTES}
    return {**one, "detail": without_secrets(kept)}


def _fitting(found: Iterable[T], limit: int) -> Iterator[T]:
    """The first of them, as many as `limit` bytes hold."""
    both = list(found)
    for one, size in zip(both, accumulate(len(compact(one)) + 1 for one in both), strict=True):
        if size > limit:
            return
        yield one
