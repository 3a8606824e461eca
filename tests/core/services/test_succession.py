"""Which process of a tree takes over from a main process that ended."""

from __future__ import annotations

import pytest

from supervisor.core.services.succession import Member, successor

MAIN = "/bin/web"


def again(ppid: int) -> Member:
    return Member(ppid, MAIN, executed=True)


def forked(ppid: int) -> Member:
    return Member(ppid, MAIN, executed=False)


def helper(ppid: int) -> Member:
    return Member(ppid, "/bin/helper", executed=True)


NEXT = {20: again(1), 21: again(20), 22: helper(20)}


@pytest.mark.parametrize(
    ("left", "pid"),
    [
        (NEXT, 20),
        ({20: again(1)}, 20),
        ({}, None),
        ({20: helper(1)}, None),
        ({20: forked(1)}, None),
        ({20: Member(1, "", executed=True)}, None),
        ({20: again(1), 30: again(1)}, None),
        ({20: again(1), 30: helper(1)}, None),
    ],
)
def test_the_one_process_that_executed_the_program_again(left: dict[int, Member], pid: int | None) -> None:
    assert successor(MAIN, 0, left) == pid


@pytest.mark.parametrize("code", [None, 1, 143])
def test_a_failure_is_no_handing_over(code: int | None) -> None:
    assert successor(MAIN, code, NEXT) is None


def test_of_a_program_that_was_never_seen_nothing_is_known() -> None:
    assert successor("", 0, NEXT) is None
