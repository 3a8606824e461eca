"""Keeps samples and the last events in memory, both bounded.  Nothing is written to disk."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

from supervisor.core.history.incidents import is_about_failure, is_failure
from supervisor.core.text.timestamps import from_iso
from supervisor.dashboard.strip import Move

if TYPE_CHECKING:
    from supervisor.core.model.documents import Event, Status
    from supervisor.core.model.instance_documents import Instance

DEPTH = 120
"""Samples kept of each series: two minutes at one a second."""
EVENTS = 500
MOVES = 256
"""Changes of state kept of each instance at most."""

Ring = deque[float | None]


class Samples:
    """One instance's series, oldest first; `None` where there was nothing to measure."""

    __slots__ = ("cpu", "memory", "phi", "taken", "wait")

    def __init__(self) -> None:
        self.cpu: Ring = deque(maxlen=DEPTH)
        self.memory: Ring = deque(maxlen=DEPTH)
        self.phi: Ring = deque(maxlen=DEPTH)
        self.taken = 0
        """Number of samples taken so far."""
        self.wait: tuple[str, float] | None = None
        """The present wait (state, incarnation and attempt), and its length in seconds when first seen."""


class History:
    """Takes every status and every event.  An instance that is gone is forgotten with the next status."""

    def __init__(self) -> None:
        self.lag: Ring = deque(maxlen=DEPTH)
        self.events: deque[Event] = deque(maxlen=EVENTS)
        self.last_failure: dict[str, Event] = {}
        self.last_evidence: dict[str, int] = {}
        self.moves: dict[str, list[Move]] = {}
        """The changes of state of each instance in the events that are kept, oldest first."""
        self._samples: dict[str, Samples] = {}
        self._seen: set[int] = set()

    def take(self, status: Status) -> None:
        """Take the samples of one status."""
        self.lag.append(status["supervisor"]["lag_ms"])
        kept = {}
        for view in status["instances"]:
            samples = self._samples.get(view["name"]) or Samples()
            kept[view["name"]] = samples
            samples.taken += 1
            samples.cpu.append(view["cpu_percent"])
            samples.memory.append(view["memory_bytes"])
            samples.phi.append(_score(view))
            self._remember_wait(samples, view)
        self._samples = kept
        self.moves = {name: moves for name, moves in self.moves.items() if name in kept}

    def samples(self, name: str) -> Samples:
        """The series of an instance; empty where nothing is known of it."""
        return self._samples.get(name) or Samples()

    def note(self, events: Iterable[Event]) -> list[Event]:
        """Keep events, oldest first; returns those that are new."""
        fresh = []
        for event in events:
            if event["id"] in self._seen:
                continue
            fresh.append(event)
            if len(self.events) == EVENTS:
                self._seen.discard(self.events[0]["id"])
            self.events.append(event)
            self._seen.add(event["id"])
            self._move(event)
            if is_about_failure(event["from"], event["to"], event["cause"]):
                self.last_failure[event["instance"]] = event
            if "evidence_id" in event["detail"]:
                self.last_evidence[event["instance"]] = event["detail"]["evidence_id"]
            if event["to"] == "suspect":
                self._remember_peak(event)
        return fresh

    def known_since(self) -> float | None:
        """The time of the oldest event that is kept."""
        return from_iso(self.events[0]["at"]) if self.events else None

    def _move(self, event: Event) -> None:
        before, after = event["from"], event["to"]
        if before == after:
            return
        moves = self.moves.setdefault(event["instance"], [])
        moves.append(
            Move(from_iso(event["at"]), before, after, is_failure(before, after, event["cause"], event["detail"]))
        )
        if len(moves) > MOVES:
            del moves[: MOVES // 2]

    def _remember_peak(self, event: Event) -> None:
        """Take the score from the event, because a suspicion may be over before the next status."""
        peak, phi = event["detail"].get("suspicion"), self.samples(event["instance"]).phi
        if peak is not None and phi:
            phi[-1] = max(phi[-1] or 0.0, peak)

    def _remember_wait(self, samples: Samples, view: Instance) -> None:
        left = remaining(view)
        if left is None:
            samples.wait = None
            return
        key = f"{view['state']} {view['incarnation']} {view['attempt']}"
        if samples.wait is None or samples.wait[0] != key or samples.wait[1] < left:
            samples.wait = (key, left)


def _score(view: Instance) -> float | None:
    """The score, at most its threshold unless it is a suspect: below `min_timeout` a high score means nothing yet."""
    phi, threshold = view["phi"], view["threshold"]
    return phi if phi is None or threshold is None or view["state"] == "suspect" else min(phi, threshold)


def remaining(view: Instance) -> float | None:
    """Seconds, at the time of the status, until its state ends by itself; None where it waits for an event."""
    for left in (view["next_restart_in_s"], view["kill_in_s"], view["ready_within_s"]):
        if left is not None:
            return left
    return None
