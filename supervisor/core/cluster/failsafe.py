"""What lets an owner keep its slots while ZooKeeper is away: the promise of every host that could take them.

A host that promises takes no slot for some seconds, but for those that their last owner has given back.  So an owner
to which *all* hosts that could take a slot have promised may keep it for as long, also after its session: "ZooKeeper is
away" and "this host is cut off" are not the same.  A majority is not enough (Patroni asks all, too): the host that did
not answer may be the one that takes the slot.  These rules make it safe:

- Only the hosts that the owner has written into the slot's record (`asks`) take the slot without its having been given
  back, so the owner knows all that it has to ask.  A host that came later is not among them.
- A promise counts from the sending of the question for the owner, and from its arrival for the host that promises.
- It counts only as an answer to what this agent itself has asked.
- A lease that is over stays over: a promise that arrives later may be that of the next owner.
- A host that has taken a slot whose instance it may not start yet promises nothing.
- An agent that begins does not know what the agent before it has promised, so it is bound for as long as a promise.
"""

from __future__ import annotations

from collections.abc import Iterable

from supervisor.core.cluster.lease import MARGIN
from supervisor.core.cluster.placement import Slot

_NEVER = -1e9
_SAME = 1e-5
"""Seconds by which rounding to nanoseconds may change a moment."""


class Failsafe:
    """The promises that a host has given and got.  Moments are seconds of CLOCK_BOOTTIME."""

    def __init__(self, seconds: float, began: float) -> None:
        """`seconds`: those of a promise, 0 where this host neither asks nor promises; `began`: when its agent did."""
        self.seconds = seconds
        self.bound_until = began + seconds if seconds else _NEVER
        """Until then this host takes no slot that was not given back."""
        self._asked: list[float] = []
        self._promises: dict[str, float] = {}
        self._heard: dict[str, float] = {}
        self._kept: dict[Slot, tuple[int, float]] = {}
        self._asks: dict[Slot, tuple[int, frozenset[str]]] = {}
        self._sent: dict[Slot, frozenset[str]] = {}

    def begin_again(self) -> None:
        """Forget all of the session before: a new one holds no slot yet."""
        self._asked.clear()
        self._promises.clear()
        self._kept.clear()
        self._asks.clear()
        self._sent.clear()

    # -- the hosts to ask --------------------------------------------------------------------------------------------

    def writes(self, slot: Slot, hosts: Iterable[str]) -> None:
        """A write that names these hosts in the record of a slot is sent; from now on it may take effect."""
        self._sent[slot] = self._sent.get(slot, frozenset()).union(hosts)

    def wrote(self, slot: Slot, epoch: int, hosts: Iterable[str]) -> None:
        """The write was answered: the record names these hosts, and no earlier write of it can take effect any more."""
        self._asks[slot], self._sent[slot] = (epoch, frozenset(hosts)), frozenset(hosts)

    def names(self, slot: Slot, epoch: int, hosts: Iterable[str]) -> bool:
        """Whether the record of a slot held under this epoch is known to name just these hosts."""
        return self._asks.get(slot) == (epoch, frozenset(hosts))

    def asks(self, slot: Slot, epoch: int) -> frozenset[str]:
        """The hosts that have to promise; empty where they are not known."""
        known, names = self._asks.get(slot, (0, frozenset()))
        return names | self._sent[slot] if known == epoch else frozenset()

    # -- promises ----------------------------------------------------------------------------------------------------

    def bound(self, now: float) -> bool:
        """Whether a promise of this host is in force: it takes no slot that was not given back."""
        return now < self.bound_until

    def promise(self, now: float) -> None:
        """Promise, from `now` on."""
        self.bound_until = max(self.bound_until, now + self.seconds)

    def ask(self, now: float, pause: float) -> bool:
        """Whether to ask the hosts now, because the last question is `pause` seconds old; counts it as asked."""
        if self._asked and now - self._asked[-1] < pause:
            return False
        self._asked = [*(one for one in self._asked if now - one < self.seconds), now]
        return True

    def promised(self, node: str, sent: float, seconds: float) -> None:
        """A host has promised, when it was asked at `sent`.  The answer to what this agent has not asked counts for
        nothing: it may be of an earlier boot, whose clock was ahead of this one's."""
        if not any(abs(sent - one) < _SAME for one in self._asked):
            return
        self._heard[node] = max(sent, self._heard.get(node, _NEVER))
        self._promises[node] = max(sent + seconds - MARGIN, self._promises.get(node, _NEVER))

    def silent(self, hosts: Iterable[str], now: float, patience: float) -> list[str]:
        """Those of these hosts that were asked and have promised nothing for `patience` seconds."""
        first = self._asked[0] if self._asked else now
        return sorted(one for one in hosts if now - max(first, self._heard.get(one, _NEVER)) > patience)

    def keep(self, slot: Slot, epoch: int, kill_at: float, now: float) -> None:
        """Prolong the lease of a slot, which ends at `kill_at`, to the earliest end of the promises of all hosts."""
        hosts = self.asks(slot, epoch)
        if hosts and now < kill_at:
            until = min(self._promises.get(one, _NEVER) for one in hosts)
            self._kept[slot] = epoch, max(until, self.kept(slot, epoch))

    def kept(self, slot: Slot, epoch: int) -> float:
        """Until when a slot held under this epoch may be kept without ZooKeeper."""
        known, until = self._kept.get(slot, (0, _NEVER))
        return until if known == epoch else _NEVER
