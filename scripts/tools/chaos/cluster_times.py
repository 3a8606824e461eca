"""The times of a cluster under faults, all in seconds: they follow from that of a session."""

from __future__ import annotations

from dataclasses import dataclass

from supervisor.core.cluster.lease import fits

SESSION = 10.0
"""Seconds of a session, unless given."""
BEGINS_WITHIN = 3.0
"""An election, a new connection and the start of a process: no shorter session makes them shorter."""


@dataclass(frozen=True)
class Times:
    """What `[cluster]` and ZooKeeper are told, and how long the faults last.

    ValueError where a lease of such a session leaves no room for an orderly stop."""

    session: float = SESSION

    def __post_init__(self) -> None:
        if refused := fits(self.contact, self.request, self.session, {"scheduler": self.stop}):
            raise ValueError(refused)

    @property
    def contact(self) -> float:
        return self.session / 10

    @property
    def request(self) -> float:
        return self.session / 5

    @property
    def stop(self) -> float:
        """An orderly stop."""
        return self.session / 5

    @property
    def tick(self) -> float:
        """ZooKeeper's: it grants sessions of 2 to 20 ticks."""
        return self.session / 5

    @property
    def lasts(self) -> float:
        """A fault that does not end by itself: longer than the session."""
        return 1.5 * self.session

    @property
    def bound(self) -> float:
        """For so long a slot may be free although two hosts reach each other."""
        return self.session + 2 * self.tick + BEGINS_WITHIN
