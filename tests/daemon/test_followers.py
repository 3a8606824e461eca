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
    followers = Followers(cast("Parts", parts), make, lambda _: fake_client.status([]))
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


def test_who_takes_parts_gets_the_rows_that_changed_and_all_of_them_where_that_is_not_possible() -> None:
    loop = Loop()
    whole: list[Callable[[Any], None]] = []
    told: list[list[str]] = []
    instances: dict[str, Any] = {
        name: SimpleNamespace(spec=SimpleNamespace(name=name[0], group_name="")) for name in ("a@1", "a@2", "b@1")
    }
    service_set = SimpleNamespace(instances=instances)
    parts = SimpleNamespace(loop=loop, service_set=service_set, sampler=SimpleNamespace(hold=lambda *_: lambda: None))

    def some(names: Sequence[str]) -> Any:
        return fake_client.status([fake_client.view(name) for name in names])

    followers = Followers(cast("Parts", parts), lambda _, done: whole.append(done), some)

    def follow(services: tuple[str, ...]) -> None:
        def part(status: Any) -> None:
            told.append([row["name"] for row in status["instances"]])

        topics = frozenset(("status",))
        nothing = cast("Any", lambda *_: None)
        followers.watch(Subscriber(topics, services, 1.0, nothing, nothing, nothing, part))

    def change(*names: str) -> None:
        for name in names:
            followers.publish(fake_client.event(1, name, "running", "starting", "exited") | {"service": name[0]})
        loop.advance()

    follow(())
    change("b@1")
    assert told == [], "the first one is being made"
    whole.pop()(fake_client.status([]))
    loop.advance()
    assert told == [["b@1"]], "so that comes after it"
    change("a@1", "b@1", "a@1")
    assert told[1:] == [["a@1", "b@1"]] and whole == []
    del instances["a@2"]
    change("a@2")
    assert len(told) == 2 and len(whole) == 1, "it is gone"
