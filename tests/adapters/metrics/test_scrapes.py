"""Pages are made in slices, on a clock that the test sets: what comes between two slices does not wait for a page."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from supervisor.adapters.metrics.collector import MetricsCollector
from supervisor.adapters.metrics.page import Page, PageMaker, Reading
from supervisor.adapters.metrics.scrapes import MODULES, SLICE, Scrapes
from supervisor.adapters.metrics.turns import Turns
from supervisor.errors import OperationFailed, SupervisorError
from tests.adapters.metrics.test_collector import Daemon, Scrape, reading
from tests.doubles.fakes import FakeReactor

LONGEST_DELAY = 0.002
"""Seconds by which a page may delay a heartbeat."""


class Turned:
    """Scrapes on an event loop that is turned by hand; each look at an instance takes `cost` seconds."""

    def __init__(self, begin: Callable[[], Page], reactor: FakeReactor) -> None:
        self.reactor = reactor
        self.answers: list[bytes | SupervisorError] = []
        self.slices: list[float] = []
        self._soon: list[Callable[[], None]] = []
        self.scrapes = Scrapes(self._soon.append, reactor.now, begin)

    def ask(self) -> None:
        self.scrapes.ask(self.answers.append)

    def turn(self) -> None:
        """One turn of the loop: everything that was wanted soon before it."""
        due, self._soon[:] = list(self._soon), []
        began = self.reactor.now()
        for callback in due:
            callback()
        self.slices.append(self.reactor.now() - began)

    def until_answered(self, count: int = 1) -> None:
        while len(self.answers) < count:
            self.turn()


class Slow(Daemon):
    """A source that takes its time by the clock of the test, and counts its looks."""

    def __init__(self, reactor: FakeReactor, cost: float, *readings: Reading) -> None:
        super().__init__(*readings)
        self.reactor, self.cost, self.looks = reactor, cost, 0

    def read(self, name: str) -> Reading | None:
        self.looks += 1
        self.reactor.advance(self.cost)
        return super().read(name)


def scraped(count: int, cost: float) -> tuple[Turned, Slow]:
    reactor = FakeReactor()
    source = Slow(reactor, cost, *(reading(f"web@{k}") for k in range(count)))
    return Turned(PageMaker(MetricsCollector(), source).page, reactor), source


@pytest.mark.parametrize("cost", [0.00001, 0.0001, 0.0009])
def test_no_slice_of_500_instances_delays_a_heartbeat_by_more_than_2_ms(cost: float) -> None:
    turned, source = scraped(500, cost)
    turned.ask()
    turned.until_answered()
    assert max(turned.slices) <= LONGEST_DELAY
    assert len(turned.slices) >= 500 * cost / LONGEST_DELAY
    assert source.looks == 500


def test_the_first_page_imports_one_module_in_each_step() -> None:
    """In a daemon that was never asked.  Nothing is left that the page itself would import at once."""
    script = """
import sys
import supervisor.daemon.control, supervisor.daemon.runtime
from supervisor.adapters.metrics import scrapes
def loaded():
    return {name for name, module in sys.modules.items() if name.startswith("supervisor.") and module.__file__
            and not hasattr(module, "__path__")}
steps = scrapes.imports()
before = loaded()
for _ in steps:
    print(*sorted(loaded() - before))
    before = loaded()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert tuple(done.stdout.splitlines()) == MODULES


def test_a_look_that_takes_longer_than_a_slice_ends_it() -> None:
    turned, source = scraped(3, 0.05)
    turned.ask()
    turned.turn()
    assert source.looks == 1


def test_a_page_is_made_after_the_request_not_in_it() -> None:
    turned, source = scraped(3, 0.0)
    turned.ask()
    assert source.looks == 0
    turned.until_answered()
    assert isinstance(turned.answers[0], bytes)
    assert Scrape(turned.answers[0].decode())("instance_up", service="web", name="web@2") == 1


def test_requests_during_a_page_share_the_next_one() -> None:
    turned, source = scraped(10, 2 * SLICE)
    turned.ask()
    turned.turn()
    source.readings["newcomer"] = reading("newcomer")
    for _ in range(5):
        turned.ask()
    turned.until_answered(6)
    assert source.looks == 10 + 11
    first, *others = turned.answers
    assert isinstance(first, bytes)
    assert b"newcomer" not in first
    assert len(set(others)) == 1
    assert isinstance(others[0], bytes)
    assert b"newcomer" in others[0]
    turned.turn()
    assert source.looks == 21  # without a request nothing more is made


def test_a_page_that_fails_is_answered_with_an_error_and_the_next_one_is_made() -> None:
    reactor = FakeReactor()
    source = Slow(reactor, 0.0, reading("web"))
    broken = True

    def begin() -> Page:
        yield
        if broken:
            raise ValueError("damaged")
        return b"up 1\n"

    turned = Turned(begin, reactor)
    turned.ask()
    with pytest.raises(ValueError, match="damaged"):
        turned.turn()
    assert isinstance(turned.answers[0], OperationFailed)
    broken = False
    turned.ask()
    turned.until_answered(2)
    assert turned.answers[1] == b"up 1\n"
    assert source.looks == 0


def test_instances_take_turns_and_new_ones_come_first() -> None:
    turns = Turns(2)
    assert turns.choose(["a", "b"]) == {"a", "b"}
    five = ["a", "b", "c", "d", "e"]
    chosen = [turns.choose(five) for _ in range(5)]
    assert [sorted(names) for names in chosen] == [["a", "b"], ["c", "d"], ["a", "e"], ["b", "c"], ["d", "e"]]
    assert turns.choose([*five, "new"]) == {"new", "a"}
    assert turns.choose(["b", "c", "d"]) == {"b", "c"}  # of those that are gone, none has a turn
