"""What the agent is to do: orders of users, kept until the agent reports their outcomes, which are kept for a while;
and what it is to read for the daemon itself."""

from __future__ import annotations

import os
from itertools import count
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from supervisor.core.model.cluster_documents import NewOrder, OrderDocument, OrderOutcome
    from supervisor.core.model.push_documents import NewPush, PushOrder

KEPT = 100
"""Outcomes that are remembered; orders that may wait."""


class Orders:
    """By their numbers, which are texts."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._open: dict[str, OrderDocument] = {}
        self._outcomes: dict[str, OrderOutcome] = {}
        self._readers: dict[str, Callable[[OrderOutcome], None]] = {}

    def take(self, order: NewOrder) -> str:
        """The number of a new order.  The oldest is given up where too many wait."""
        number = str(next(self._numbers))
        self._open[number] = cast("OrderDocument", {"id": number, **order})
        for old in list(self._open)[:-KEPT]:
            self.ended([{"id": old, "done": False, "error": "too many orders waited for the agent"}])
        return number

    def read(self, verb: str, node: str, then: Callable[[OrderOutcome], None]) -> str:
        """Have the agent read what a host has published; `then` gets the outcome, which is not kept.  Returns the
        order's number."""
        number = str(next(self._numbers))
        self._open[number] = cast("OrderDocument", {"id": number, "verb": verb, "node": node})
        self._readers[number] = then
        return number

    def drop(self, number: str) -> None:
        """An outcome of `read` is not waited for any more."""
        self._open.pop(number, None)
        self._readers.pop(number, None)

    def open(self) -> list[OrderDocument]:
        """Those without an outcome, oldest first."""
        return list(self._open.values())

    def ended(self, outcomes: Iterable[OrderOutcome]) -> None:
        """The agent has told these; what it repeats is known already."""
        for outcome in outcomes:
            if self._open.pop(outcome["id"], None) is not None:
                then = self._readers.pop(outcome["id"], None)
                if then is not None:
                    then(outcome)
                else:
                    self._outcomes[outcome["id"]] = outcome
        for old in list(self._outcomes)[:-KEPT]:
            del self._outcomes[old]

    def outcome(self, number: str) -> OrderOutcome | None:
        """What became of it; None while that is not known, or no longer."""
        return self._outcomes.get(number)


class Pushes:
    """The same for pushes of the configuration, whose numbers begin with a `p`: their text is large, so one waits."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._open: PushOrder | None = None
        self._outcomes: dict[str, OrderOutcome] = {}

    def take(self, push: NewPush, by: str, at: float) -> str:
        """The number of a new push.  One that waits for the agent is given up."""
        number = f"p{next(self._numbers)}"
        if self._open is not None:
            before = self._open["id"]
            self.ended([{"id": before, "done": False, "error": "a later push was ordered on this host"}])
        order: Any = {"id": number, "by": by, "at": at, "mark": os.urandom(8).hex(), **push}
        self._open = order
        return number

    def open(self) -> list[PushOrder]:
        """The one without an outcome."""
        return [self._open] if self._open is not None else []

    def ended(self, outcomes: Iterable[OrderOutcome]) -> None:
        """The agent has told these; what it repeats is known already."""
        for outcome in outcomes:
            if self._open is not None and outcome["id"] == self._open["id"]:
                self._open = None
                self._outcomes[outcome["id"]] = outcome
        for old in list(self._outcomes)[:-KEPT]:
            del self._outcomes[old]

    def outcome(self, number: str) -> OrderOutcome | None:
        """What became of it; None while that is not known, or no longer."""
        return self._outcomes.get(number)
