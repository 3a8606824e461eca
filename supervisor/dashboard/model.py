"""The model of the dashboard: the last status, the history, and whether the daemon answers.  Pure; times are monotonic
seconds unless stated otherwise."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from supervisor.core.text.timestamps import from_iso
from supervisor.dashboard.filter_sort import DESCENDING, SORTS
from supervisor.dashboard.history import History
from supervisor.dashboard.places import Places
from supervisor.dashboard.row_status import Row, waits
from supervisor.dashboard.services.folding import Folds, fold
from supervisor.dashboard.spans import Span, clean
from supervisor.display import numbers as q

if TYPE_CHECKING:
    from supervisor.core.model.documents import Status
    from supervisor.core.model.instance_documents import Instance

LIVE = 3.0
"""A status comes every second: after three without one the daemon does not answer."""
SOON = 10.0
"""A countdown below this is shown in tenths, and drawn more often."""


class Model:
    """Takes each status, and returns the rows, filtered and sorted as the user chose.  `live_for`: seconds for which a
    status counts as the present state."""

    def __init__(self) -> None:
        self.status: Status | None = None
        self.live_for = LIVE
        self.history = History()
        self.places = Places()
        self._known_since: float | None = None
        self.sort, self.descending = "trouble", True
        self.filter = ""
        self.problems_only = False
        self.folds = Folds()
        self.hidden = 0
        """Instances that the filter hides from the last rows."""
        self._taken = 0.0
        self._lost_at: float | None = None
        self._lost_why = ""

    # -- what comes in

    def take(self, status: Status, now: float) -> str:
        """Take a status.  Returns what to tell the user: that the daemon was restarted, or answers again; else ""."""
        before, self.status, self._taken = self.status, status, now
        was_lost, self._lost_at = self._lost_at is not None, None
        self.history.take(status)
        if before is None:
            return ""
        old, new = before["supervisor"]["pid"], status["supervisor"]["pid"]
        if old != new:
            return f"the daemon was restarted: pid {old} → {new}"
        return "reconnected" if was_lost else ""

    def lost(self, why: str, now: float) -> None:
        """The daemon does not answer; `why` is the reason, if one is known."""
        if self._lost_at is None:
            self._lost_at = now
        self._lost_why = why

    # -- what is shown

    @property
    def live(self) -> bool:
        """There is a status, and the daemon answers."""
        return self.status is not None and self._lost_at is None

    @property
    def closing(self) -> bool:
        """The daemon is shutting down."""
        return self.status is not None and self.status["supervisor"]["closing"]

    @property
    def views(self) -> list[Instance]:
        """All instances, in start order."""
        return self.status["instances"] if self.status else []

    def age(self, now: float) -> float:
        """Seconds since the status; it stands still while the daemon does not answer."""
        return max(0.0, min((self._lost_at if self._lost_at is not None else now) - self._taken, self.live_for))

    def silent(self, now: float) -> bool:
        """The daemon is there, but sends no status."""
        return self.live and now - self._taken >= self.live_for

    def rows(self, now: float, clock: float, room: int | None = None, held: Collection[str] = frozenset()) -> list[Row]:
        """The rows, filtered, sorted and folded; `clock` is seconds since the epoch.

        `room`: how many rows fit; None: any number.  `held`: the instances that are selected or at the cursor."""
        if self.status is None:
            return []
        self._known_since = self.history.known_since()
        age = self.age(now)
        rows, self.hidden = fold(
            self.status,
            lambda view: self._row(view, age, clock),
            self.folds,
            text=self.filter + (" problem" if self.problems_only else ""),
            sort=self.sort,
            descending=self.descending,
            room=room,
            held=held,
            now=now,
        )
        return rows

    def sort_by(self, sort: str) -> None:
        """Sort by that column; if it is the present one, reverse the order."""
        same = sort == self.sort
        self.descending = not self.descending if same else sort in DESCENDING
        self.sort = sort

    def next_sort(self) -> None:
        self.sort_by(SORTS[(SORTS.index(self.sort) + 1) % len(SORTS)])

    def link(self, now: float) -> Span:
        """The state of the connection."""
        if self._lost_at is not None:
            return Span("↯ reconnecting…", "alarm")
        if self.silent(now):
            return Span("◌ waiting…", "alarm")
        return Span("● live", "good") if self.status is not None else Span("○ connecting…", "busy")

    def lost_words(self, now: float, process: str = "") -> str:
        """The banner while the daemon does not answer; empty otherwise.  `process`: which process that is, and its
        state."""
        last = f" · last status {q.duration(now - self._taken)} ago" if self.status else ""
        if self.silent(now):
            return f"waiting for the daemon{process}{last}"
        if self._lost_at is None:
            return ""
        why = f"  {clean(self._lost_why)}" if self._lost_why else ""
        return f"no daemon answers, reconnecting…{why}{last}"

    def soon(self, now: float) -> bool:
        """A countdown is about to end."""
        age = self.age(now)
        return self.live and any((wait := waits(v, age)) is not None and wait[1] < SOON for v in self.views)

    def _row(self, view: Instance, age: float, clock: float) -> Row:
        failure = self.history.last_failure.get(view["name"])
        ago = None if failure is None else clock - from_iso(failure["at"])
        name, history = view["name"], self.history
        return Row(
            view,
            age=age,
            samples=history.samples(name),
            last_failure=failure,
            failed_ago=ago,
            place=self.places.get(name, failure),
            moves=history.moves.get(name, ()),
            known_since=self._known_since,
            clock=clock,
        )

    def named(self, names: Collection[str]) -> list[str]:
        """The instances that these names of services and instances mean."""
        return [v["name"] for v in self.views if v["name"] in names or v["service"] in names]

    def running(self, names: Collection[str]) -> list[str]:
        """Those of the instances that have a process."""
        return [v["name"] for v in self.views if (v["name"] in names or v["service"] in names) and v["pid"] is not None]
