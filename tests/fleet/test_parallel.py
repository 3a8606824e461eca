"""Work on many hosts: what hangs is given up, and holds neither the others nor their places."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from supervisor.core.model.fleet_spec import FleetHost
from supervisor.fleet.parallel import MOST_CONNECTING, Outcome, Work, on_all
from supervisor.fleet.problems import HostProblem, Kind


def named(*names: str) -> list[FleetHost]:
    return [FleetHost(name=name, address=name) for name in names]


@pytest.fixture
def released() -> Iterator[threading.Event]:
    """Ends what hangs when the test is over."""
    event = threading.Event()
    yield event
    event.set()


def test_each_host_has_its_outcome_in_the_order_of_the_file() -> None:
    told: list[tuple[str, str]] = []
    done: list[str] = []

    def work(one: Work) -> str:
        with one.step("greet", 60.0):
            if one.host.name == "b":
                raise HostProblem(Kind.REFUSED, "no")
            if one.host.name == "c":
                raise RuntimeError("a fault of ours")
        return one.host.name

    outcomes = on_all(
        named("a", "b", "c"),
        work,
        lambda host, step: told.append((host.name, step)),
        lambda host, _outcome: done.append(host.name),
    )
    assert list(outcomes) == ["a", "b", "c"] and sorted(done) == ["a", "b", "c"]
    assert outcomes["a"].value == "a" and outcomes["a"].problem is None
    assert (outcomes["b"].step, str(outcomes["b"].problem)) == ("greet", "no")
    assert outcomes["c"].problem is not None and outcomes["c"].problem.message == "RuntimeError: a fault of ours"
    assert sorted(told) == [("a", "greet"), ("b", "greet"), ("c", "greet")]


def test_a_host_that_hangs_is_given_up_and_does_nothing_more(released: threading.Event) -> None:
    begun: list[str] = []
    ended = threading.Event()

    def work(one: Work) -> None:
        try:
            with one.step("hang", 0.0 if one.host.name == "dead" else 60.0):
                if one.host.name == "dead":
                    released.wait()
            with one.step("next", 60.0):
                begun.append(one.host.name)
        finally:
            if one.host.name == "dead":
                ended.set()

    outcomes = on_all(named("dead", "a"), work, lambda *_: None, lambda *_: None)
    problem = outcomes["dead"].problem
    assert problem is not None and (problem.kind, outcomes["dead"].step) == (Kind.TIMEOUT, "hang")
    assert outcomes["a"].problem is None
    released.set()
    assert ended.wait(60.0)
    assert begun == ["a"]


def test_few_connect_at_once_and_hanging_ones_give_their_places_back(released: threading.Event) -> None:
    dead = [f"dead{number}" for number in range(MOST_CONNECTING)]
    lock = threading.Lock()
    inside, most = 0, 0

    def work(one: Work) -> None:
        nonlocal inside, most
        with one.connecting(), one.step("connect", 0.0 if one.host.name in dead else 60.0):
            if one.host.name in dead:
                released.wait()
                return
            with lock:
                inside += 1
                most = max(most, inside)
            with lock:
                inside -= 1

    living = [f"a{number}" for number in range(3 * MOST_CONNECTING)]
    outcomes: dict[str, Outcome[None]] = on_all(named(*dead, *living), work, lambda *_: None, lambda *_: None)
    assert {name for name, outcome in outcomes.items() if outcome.problem is not None} == set(dead)
    assert most <= MOST_CONNECTING
