"""Limits how often a client may send a wrong token, without a limit for the others.  Pure."""

from __future__ import annotations

from collections.abc import Hashable

BURST = 10
"""Wrong tokens in a row before a client has to wait."""
EVERY = 5.0
"""Seconds after which one more is allowed."""
MOST_CLIENTS = 1024


class Attempts:
    """The wrong tokens of each client.  Tokens of a client that has to wait are not looked at."""

    def __init__(self) -> None:
        self._wrong: dict[Hashable, tuple[float, float]] = {}
        """By client: how many count against it, and when that was so."""

    def wait(self, client: Hashable, now: float) -> float:
        """Seconds until it may try again; 0: now."""
        return max(0.0, (self._count(client, now) - BURST + 1) * EVERY)

    def wrong(self, client: Hashable, now: float) -> None:
        """It has sent a wrong token."""
        count = self._count(client, now) + 1
        self._wrong.pop(client, None)
        if len(self._wrong) >= MOST_CLIENTS:
            del self._wrong[next(iter(self._wrong))]  # the one whose last attempt is the oldest
        self._wrong[client] = count, now

    def _count(self, client: Hashable, now: float) -> float:
        count, at = self._wrong.get(client, (0.0, now))
        return max(0.0, count - (now - at) / EVERY)
