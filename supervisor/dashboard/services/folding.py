"""Folds the instances of a service under a row of its own.  Pure; times are monotonic seconds."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from supervisor.core.history.ratios import Counts, is_wanted
from supervisor.dashboard.filter_sort import arrange, matching
from supervisor.dashboard.row_status import Row, Service, nearness_to_suspicion
from supervisor.dashboard.spans import clean
from supervisor.display.rollout_line import UNDER_WAY, progress
from supervisor.display.severity import Severity, severity

if TYPE_CHECKING:
    from supervisor.core.model.documents import Status
    from supervisor.core.model.instance_documents import Instance
    from supervisor.core.model.order_documents import Rollout

CALM = 30.0
"""Seconds after its last trouble in which a service stays unfolded by itself, so that rows do not come and go."""


class Folds:
    """Which services are folded: as the user chose, else by the trouble and the room there is."""

    def __init__(self) -> None:
        self._chosen: dict[str, bool] = {}
        self._troubled: dict[str, float] = {}

    def choose(self, services: Collection[str], folded: bool) -> None:
        """Fold or unfold these services for good."""
        self._chosen.update(dict.fromkeys(services, folded))

    def forget(self, services: Collection[str]) -> None:
        """Forget every other service: it is gone."""
        self._chosen = {name: folded for name, folded in self._chosen.items() if name in services}
        self._troubled = {name: at for name, at in self._troubled.items() if name in services}

    def folded(self, service: str, *, troubled: bool, needed: bool, crowded: bool, now: float) -> bool:
        """Whether it is folded.  `needed`: single instances of it are filtered, selected or at the cursor.
        `crowded`: not all rows fit."""
        if troubled:
            self._troubled[service] = now
        if service in self._chosen:
            return self._chosen[service]
        calm = now - self._troubled.get(service, -CALM) >= CALM
        return crowded and calm and not needed


def fold(
    status: Status,
    row_of: Callable[[Instance], Row],
    folds: Folds,
    *,
    text: str,
    sort: str,
    descending: bool,
    room: int | None,
    held: Collection[str],
    now: float,
) -> tuple[list[Row], int]:
    """The rows from the top, and how many instances the filter hides.

    Services and single instances are sorted with each other, a service by its sums and by its worst instance; then
    the instances of each.  `text`: the filter.  `room`: how many rows fit; None: any number.  `held`: the instances
    that are selected or at the cursor."""
    members: dict[str, list[Instance]] = {}
    for view in status["instances"]:
        members.setdefault(view["service"], []).append(view)
    hits = matching(status["instances"], text)
    found: dict[str, list[Instance]] = {}
    for view in hits:
        found.setdefault(view["service"], []).append(view)
    several = {name for name in found if len(members[name]) > 1}
    folds.forget({name for name, views in members.items() if len(views) > 1})
    crowded = room is not None and len(hits) + len(several) > room
    rollouts = {one["service"]: one for one in status["supervisor"].get("rollouts", ())}
    heads = {
        name: _head(name, [row_of(view) for view in members[name]], rollouts.get(name))
        if name in several
        else row_of(found[name][0])
        for name in found
    }
    rows: list[Row] = []
    for view in arrange([head.view for head in heads.values()], sort, descending):
        name = view["service"]
        head, service = heads[name], heads[name].service
        if service is None:
            rows.append(head)
            continue
        shown = [hit["name"] for hit in found[name]]
        folded = folds.folded(
            name,
            troubled=severity(service.worst.view) >= Severity.WRONG,
            needed=len(shown) < len(service.members) or any(n in held for n in shown),
            crowded=crowded,
            now=now,
        )
        rows.append(replace(head, service=replace(service, shown=shown, folded=folded)))
        if not folded:
            below = {row.name: row for row in service.members}
            ordered = arrange(found[name], sort, descending)
            rows += [replace(below[hit["name"]], nested=True) for hit in ordered]
    return rows, len(status["instances"]) - len(hits)


def find_row(rows: Sequence[Row], text: str, start: int, step: int = 1) -> int | None:
    """The index of the next row that matches, from `start` on and from the last to the first; None without any.

    A folded service matches where one of its instances does."""
    views = [view for row in rows for view in _sought(row)]
    hits = {view["name"] for view in matching(views, text)} if text.strip() else set()
    for n in range(len(rows)):
        index = (start + n * step) % len(rows)
        if any(view["name"] in hits for view in _sought(rows[index])):
            return index
    return None


def _sought(row: Row) -> list[Instance]:
    """The instances that a row stands for."""
    if row.service is None:
        return [row.view]
    return [member.view for member in row.service.members if member.name in row.service.shown and row.service.folded]


def _head(name: str, members: Sequence[Row], rollout: Rollout | None) -> Row:
    """The row of a service, unfolded and unfiltered."""
    worst = max(members, key=lambda row: _urgency(row.view))
    views = [row.view for row in members]
    counts = Counts()
    for view in views:
        should_be_ready = is_wanted(view["goal"], view["type"], view["state"], view["cause"])
        counts.add(should_be_ready, view["ready"], view["pid"] is not None, view["current"])
        if balanced := view.get("balanced"):
            counts.carried(balanced["requests"])
    ratios = counts.ratios(0, 0)
    moving = rollout is not None and rollout["state"] in UNDER_WAY
    halted = rollout is not None and rollout["state"] == "halted"
    beside = set(rollout.get("surge", ())) if rollout is not None else set()
    wanted = counts.wanted - sum(view["name"] in beside and view["goal"] == "up" for view in views)
    words = clean(progress(rollout, {view["name"]: view for view in views})) if rollout and (moving or halted) else ""
    service = Service(
        members=members,
        shown=[row.name for row in members],
        worst=worst,
        ready=min(counts.ready, wanted),
        wanted=wanted,
        consistency=ratios["consistency"],
        load=ratios["load"],
        rollout=words,
        halted=halted,
        folded=False,
    )
    return replace(worst, view=_summary(name, views, worst.view), service=service)


def _urgency(view: Instance) -> tuple[Severity, bool, float]:
    """By what the worst of a service is chosen."""
    return severity(view), view["goal"] == "up", nearness_to_suspicion(view) or 0.0


def _summary(name: str, views: Sequence[Instance], worst: Instance) -> Instance:
    """The worst instance's view with the sums of all; `uptime_s` is the shortest.  It has no process."""
    sums = {
        "name": name,
        "pid": None,
        "restarts": sum(view["restarts"] for view in views),
        "uptime_s": min((up for view in views if (up := view["uptime_s"]) is not None), default=None),
        "cpu_percent": _sum([view["cpu_percent"] for view in views]),
        "memory_bytes": _sum([view["memory_bytes"] for view in views]),
    }
    return cast("Instance", {**worst, **sums})


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
