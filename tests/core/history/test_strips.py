"""Availability by cells, on hand-written histories."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.history.strips import Cell, strips
from supervisor.core.model.instance_documents import Instance
from tests.core.history.test_report import T0, History, row


def cells(history: History, until: float, columns: int, *rows: Instance) -> dict[str, list[tuple[float, float, float]]]:
    found = strips(history.events, T0, T0 + until, list(rows), columns)
    return {
        service: [(round(c.ready, 3), round(c.down, 3), round(c.unknown, 3)) for c in row]
        for service, row in found.items()
    }


def test_each_cell_has_its_share_of_an_outage() -> None:
    history = History().boot(0, 10).crash(45, 50, 65)
    assert cells(history, 100, 5, row()) == {
        "web": [(10, 10, 0), (20, 0, 0), (5, 15, 0), (15, 5, 0), (20, 0, 0)],
    }


def test_instances_of_a_service_are_added_and_those_of_others_are_not() -> None:
    history = History().boot(0, 0, name="web@1").boot(0, 10, name="web@2").boot(0, 0, name="db")
    rows = [row("web@1"), row("web@2"), row("db")]
    assert cells(history, 20, 2, *rows) == {"web": [(10, 10, 0), (20, 0, 0)], "db": [(10, 0, 0), (10, 0, 0)]}


def test_time_in_which_it_was_not_wanted_is_in_no_cell() -> None:
    history = History().boot(0, 0).add(10, "running", "stopped", "stopped", goal="down")
    stopped = row(state="stopped", ready=False, goal="down")
    assert cells(history, 20, 2, stopped) == {"web": [(10, 0, 0), (0, 0, 0)]}


def test_without_events_only_the_present_state_is_known_and_it_is_the_last() -> None:
    assert cells(History(), 20, 2, row(since_s=10.0)) == {"web": [(0, 0, 10), (10, 0, 0)]}
    assert cells(History(), 20, 2) == {}


def test_a_period_without_length_has_empty_cells() -> None:
    assert strips([], T0, T0, [row()], 3) == {"web": [Cell(), Cell(), Cell()]}


@given(st.lists(st.floats(0.0, 1000.0), min_size=3, max_size=12), st.integers(1, 50))
def test_the_cells_sum_up_to_the_whole(moments: list[float], columns: int) -> None:
    first, *rest = sorted(moments)
    history = History().boot(first, first)
    for at, again in zip(rest[::2], rest[1::2], strict=False):
        history.crash(at, at, again)
    total = history.report(0, 1000.0, row())["total"]
    found = strips(history.events, T0, T0 + 1000.0, [row()], columns)["web"]
    assert sum(c.ready for c in found) == pytest.approx(total["ready_s"], abs=0.01)
    assert sum(c.ready + c.down for c in found) == pytest.approx(total["wanted_s"], abs=0.01)
    assert sum(c.unknown for c in found) == pytest.approx(total["unknown_s"], abs=0.01)
    width = 1000.0 / columns
    assert all(c.ready + c.down + c.unknown <= width + 0.01 for c in found)
