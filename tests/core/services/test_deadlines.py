"""The heap of deadlines: what a heartbeat and a look cost, counted in reads of a deadline."""

from __future__ import annotations

from typing import cast

from supervisor.core.lifecycle.instance import Instance
from supervisor.core.services.deadlines import LOOK_AHEAD, Deadlines


class Beating:
    """Counts how often its deadline is asked for."""

    def __init__(self, when: float | None) -> None:
        self.when, self.asked = when, 0

    @property
    def deadline(self) -> float | None:
        self.asked += 1
        return self.when


def entered(*whens: float) -> tuple[Deadlines, list[Beating]]:
    deadlines, beating = Deadlines(), [Beating(when) for when in whens]
    for one in beating:
        deadlines.schedule(cast(Instance, one))
        one.asked = 0
    return deadlines, beating


def test_a_deadline_that_beats_have_moved_is_asked_for_once_and_stays_one_entry() -> None:
    deadlines, beating = entered(*(1.0 + n / 1000 for n in range(40)))
    for one in beating:
        one.when = 9.0
    assert deadlines.due(1.0) == []
    assert [one.asked for one in beating] == [1] * 40
    assert len(deadlines._heap) == len(deadlines.entries) == 40 and deadlines.next == 9.0


def test_what_has_passed_is_found_and_what_is_ahead_waits() -> None:
    deadlines, (first, second) = entered(1.0, 1.0 + LOOK_AHEAD / 2)
    assert deadlines.due(1.0) == [first]
    assert deadlines.next == second.when and second not in deadlines.due(1.0)


def test_without_a_deadline_the_entry_goes() -> None:
    deadlines, (one,) = entered(1.0)
    one.when = None
    assert deadlines.due(1.0) == [] and deadlines.next is None and not deadlines.entries


def test_an_earlier_deadline_takes_the_place_of_the_entry() -> None:
    deadlines, (one,) = entered(5.0)
    one.when = 1.0
    deadlines.schedule(cast(Instance, one))
    assert deadlines.due(1.0) == [one]
    assert deadlines.due(9.0) == [] and deadlines.next is None
