"""When followers of the status get the next one after a change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from supervisor.adapters.control.port import Subscriber
from supervisor.daemon.followers import COALESCE, COALESCE_FOR_ORDER, MOST_IN_PART, PAUSE_FACTOR, Followers
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

    def make(_services: Sequence[str], done: Callable[[Any], None], *, usage: bool) -> None:
        loop.time += took
        done(fake_client.status([]))

    parts = SimpleNamespace(
        loop=loop,
        service_set=SimpleNamespace(instances={}, plan=None),
        sampler=SimpleNamespace(hold=lambda *_, keep: lambda: None),
    )
    followers = Followers(cast("Parts", parts), make, lambda _, usage: fake_client.status([]))
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
    service_set = SimpleNamespace(instances=instances, plan="one")
    parts = SimpleNamespace(
        loop=loop, service_set=service_set, sampler=SimpleNamespace(hold=lambda *_, keep: lambda: None)
    )

    def some(names: Sequence[str], *, usage: bool) -> Any:
        return fake_client.status([fake_client.view(name) for name in names])

    followers = Followers(cast("Parts", parts), lambda _, done, usage: whole.append(done), some)

    takes = True

    def follow(services: tuple[str, ...]) -> None:
        def part(status: Any) -> bool:
            told.append([row["name"] for row in status["instances"]])
            return takes

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
    whole.pop()(fake_client.status([]))
    takes = False
    change("a@1")
    assert told[2:] == [["a@1"]] and len(whole) == 1, "it was not taken"
    whole.pop()(fake_client.status([]))
    takes = True
    service_set.plan = "another"
    change("a@1")
    assert len(told) == 3 and len(whole) == 1, "instances may have come that no event tells of"
    instances |= {f"a@{number}": instances["a@1"] for number in range(3, MOST_IN_PART + 3)}
    change("a@1")
    whole.pop()(fake_client.status([]))
    loop.advance()
    assert len(told) == 3 and len(whole) == 1, "the one that was being made may be older than that"
    whole.pop()(fake_client.status([]))
    change("a@1", "b@1")
    assert told[3:] == [["a@1", "b@1"]] and whole == []
    change("a@1", *(f"a@{number}" for number in range(3, MOST_IN_PART + 3)))
    assert len(told) == 4 and len(whole) == 1, "too many to be made at once"


def test_a_command_that_waits_for_its_order_is_told_soon_and_without_usage() -> None:
    """It asks about all instances that it has just stopped."""
    loop = Loop()
    asked: list[bool] = []

    def make(_services: Sequence[str], done: Callable[[Any], None], *, usage: bool) -> None:
        asked.append(usage)
        done(fake_client.status([]))

    def some(_services: Sequence[str], *, usage: bool) -> Any:
        asked.append(usage)
        return fake_client.status([])

    def hold(_interval: float, _tick: Callable[[], None], *, keep: bool) -> Callable[[], None]:
        asked.append(keep)
        return lambda: None

    instances = {"a": SimpleNamespace(spec=SimpleNamespace(name="a", group_name=""))}
    service_set = SimpleNamespace(instances=instances, plan=None)
    parts = SimpleNamespace(loop=loop, service_set=service_set, sampler=SimpleNamespace(hold=hold))
    followers = Followers(cast("Parts", parts), make, some)
    nothing = cast("Any", lambda *_: True)
    followers.watch(Subscriber(frozenset(("status",)), (), 1.0, nothing, nothing, nothing, nothing, for_order=True))
    followers.publish(fake_client.event(1, "a", "running", "stopping", "stopped-by-user") | {"service": "a"})
    assert round(loop.advance(), 3) == 100.0 + COALESCE_FOR_ORDER
    assert asked == [False] * 3
