"""When followers of the status get the next one after a change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from supervisor.adapters.control.port import Subscriber
from supervisor.daemon.followers import COALESCE, PAUSE_FACTOR, Followers
from tests.doubles import fake_client

if TYPE_CHECKING:
    from supervisor.daemon.parts import Parts


class Loop:
    """A loop whose time a test moves."""

    def __init__(self) -> None:
        self.time = 100.0
        self.timers: list[tuple[float, Callable[[], None]]] = []

    def now(self) -> float:
        return self.time

    def call_at(self, at: float, callback: Callable[[], None]) -> object:
        self.timers.append((at, callback))
        return object()

    def call_soon(self, callback: Callable[[], None]) -> None:
        callback()

    def advance(self) -> float:
        """Go on to the next timer; its time."""
        at, callback = self.timers.pop(0)
        self.time = at
        callback()
        return at


def test_a_change_is_told_at_once_unless_the_last_status_has_just_been_made() -> None:
    loop, took = Loop(), 0.0
    sent: list[float] = []

    def make(_services: Sequence[str], done: Callable[[Any], None]) -> None:
        loop.time += took
        done(fake_client.status([]))

    parts = SimpleNamespace(
        loop=loop, service_set=SimpleNamespace(instances={}), sampler=SimpleNamespace(hold=lambda *_: lambda: None)
    )
    followers = Followers(cast("Parts", parts), make)
    topics = frozenset(("status",))
    followers.watch(
        Subscriber(topics, (), 1.0, lambda _: None, lambda *_: None, lambda _: sent.append(round(loop.time, 3)))
    )
    assert sent == [100.0]
    took = 0.1
    loop.time = 110.0
    followers.publish_status()
    assert round(loop.advance(), 3) == 110.0 + COALESCE
    assert sent[-1] == round(110.0 + COALESCE + took, 3)
    followers.publish_status()  # in the middle of its rest
    followers.publish_status()
    ((at, _),) = loop.timers
    assert round(at, 3) == round(sent[-1] + PAUSE_FACTOR * took, 3)
    loop.advance()
    loop.time += 10.0
    followers.publish_status()
    assert round(loop.timers[0][0], 3) == round(loop.time + COALESCE, 3)
