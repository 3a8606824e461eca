"""One event on its way into the ledger: the row that is written, and the event object that clients see."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from supervisor.core.model.actions import Record

if TYPE_CHECKING:
    from supervisor.core.model.document_types import JSON, Goal, State
    from supervisor.core.model.documents import Event
    from supervisor.core.model.evidence_documents import Evidence

Row = tuple[int, float, str, str, int, "Goal", "State", "State", str, str]
INSERT = "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)"

_dumps = json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=str, check_circular=False).encode
_DEEPEST = 20


class Entry:
    """A row of `events`, and its evidence as JSON text (None if there is none)."""

    __slots__ = ("_detail", "evidence", "row")

    def __init__(self, row: Row, evidence: str | None, detail: Mapping[str, Any] | None = None) -> None:
        self.row = row
        self.evidence = evidence
        self._detail = detail

    @property
    def id(self) -> int:
        return self.row[0]

    @property
    def at(self) -> float:
        """When it happened, in seconds since the epoch."""
        return self.row[1]

    def event(self, stamp: str) -> Event:
        """The event object, of plain types only. `stamp` is its time in ISO 8601."""
        number, _, service, instance, incarnation, goal, before, after, cause, text = self.row
        detail: JSON = json.loads(text) if self._detail is None else dict(self._detail)
        if self.evidence:
            detail["evidence_id"] = number
        return {
            "id": number,
            "at": stamp,
            "service": service,
            "instance": instance,
            "incarnation": incarnation,
            "goal": goal,
            "from": before,
            "to": after,
            "cause": cause,
            "detail": detail,
        }

    def evidence_object(self) -> Evidence | None:
        return json.loads(self.evidence) if self.evidence else None

    def renumber(self, shift: int) -> None:
        """Add `shift` to the id, to follow the events that were in the file already."""
        self.row = (self.row[0] + shift, *self.row[1:])


def entry(number: int, at: float, record: Record) -> Entry:
    """The entry of `record` as event `number`; `at` is in seconds since the epoch."""
    detail: Mapping[str, Any] = record.detail
    evidence = None
    if "evidence" in detail:
        evidence = encode(detail["evidence"]) if detail["evidence"] else None
        detail = {key: value for key, value in detail.items() if key != "evidence"}
    row: Row = (
        number,
        at,
        record.service,
        record.instance,
        record.incarnation,
        record.goal.value,
        record.before.value,
        record.after.value,
        record.cause.value,
        encode(detail) if detail else "{}",
    )
    return Entry(row, evidence, detail if _is_plain(detail) else None)


def _is_plain(detail: Mapping[str, Any]) -> bool:
    """Whether a round trip through JSON would leave `detail` unchanged, so that it can be skipped.

    Only the giver of an order (`by`) is looked into; no reader changes it, and all that are stopped by it share it."""
    for key, value in detail.items():
        kind = type(value)
        if kind is float:
            if value - value != 0.0:  # infinite or NaN
                return False
        elif kind is dict and key == "by":
            if not all(one is None or type(one) in (int, str) or _is_texts(one) for one in value.values()):
                return False
        elif kind is not int and kind is not str and kind is not bool and value is not None:
            return False
    return True


def _is_texts(value: object) -> bool:
    return type(value) is list and all(type(one) is str for one in value)


def encode(value: object) -> str:
    """Compact JSON; never fails. NaN and infinity become null, values of unknown types become text."""
    try:
        return _dumps(value)
    except (TypeError, ValueError, RecursionError):
        return _dumps(_plain(value, _DEEPEST))


def _plain(value: object, depth: int) -> object:
    if depth == 0:
        return None
    if isinstance(value, Mapping):
        return {str(key): _plain(item, depth - 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item, depth - 1) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
