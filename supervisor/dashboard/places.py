"""Where each instance was at its last failure, read from the evidence.  Pure; the app fetches what is missing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from supervisor.core.history.incidents import is_about_failure
from supervisor.core.history.place import place
from supervisor.dashboard.spans import clean

if TYPE_CHECKING:
    from supervisor.core.model.documents import Event
    from supervisor.core.model.evidence_documents import Evidence


class _Known(NamedTuple):
    evidence_id: int
    incarnation: int
    cause: str
    says: str | None
    """None: the evidence has not arrived yet."""


class Places:
    """Notes which evidence belongs to the last failure of each instance, and what it tells."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}

    def note(self, events: Iterable[Event]) -> None:
        """Take events, oldest first."""
        for event in events:
            number = event["detail"].get("evidence_id")
            if number is not None and is_about_failure(event["from"], event["to"], event["cause"]):
                self._known[event["instance"]] = _Known(number, event["incarnation"], event["cause"], None)

    def missing(self) -> tuple[str, int] | None:
        """An instance and the id of its evidence, which is still to be fetched; the newest first."""
        waiting = [(known.evidence_id, name) for name, known in self._known.items() if known.says is None]
        if not waiting:
            return None
        number, name = max(waiting)
        return name, number

    def take(self, name: str, evidence_id: int, evidence: Evidence | None) -> None:
        """Take the evidence that was fetched, or that it is no longer kept."""
        known = self._known.get(name)
        if known is not None and known.evidence_id == evidence_id:
            self._known[name] = known._replace(says=clean(place(known.cause, evidence) or ""))

    def get(self, name: str, failure: Event | None) -> str:
        """Where the instance was at this failure; empty where that is not known."""
        known = self._known.get(name)
        if known is None or failure is None or known.incarnation != failure["incarnation"]:
            return ""
        if failure["to"] == "suspect" and failure["id"] > known.evidence_id:
            return ""  # a new suspicion of the same run
        return known.says or ""
