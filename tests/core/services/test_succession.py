"""Which process of a tree takes over from a main process that ended."""

from __future__ import annotations

import pytest

from supervisor.core.services.succession import Member, Program, successor

MAIN = Program("/bin/web", 1000)
AGAIN, FORKED, HELPER = Program("/bin/web", 2000), Program("/bin/web", 1000), Program("/bin/helper", 3000)
NEXT = {20: Member(1, AGAIN), 21: Member(20, AGAIN), 22: Member(20, HELPER)}


@pytest.mark.parametrize(
    ("left", "pid"),
    [
        (NEXT, 20),
        ({20: Member(1, AGAIN)}, 20),
        ({}, None),
        ({20: Member(1, HELPER)}, None),
        ({20: Member(1, FORKED)}, None),
        ({20: Member(1, None)}, None),
        ({20: Member(1, AGAIN), 30: Member(1, AGAIN)}, None),
        ({20: Member(1, AGAIN), 30: Member(1, HELPER)}, None),
    ],
)
def test_the_one_process_that_executed_the_program_again(left: dict[int, Member], pid: int | None) -> None:
    assert successor(MAIN, 0, left) == pid


@pytest.mark.parametrize("code", [None, 1, 143])
def test_a_failure_is_no_handing_over(code: int | None) -> None:
    assert successor(MAIN, code, NEXT) is None


def test_of_a_program_that_was_never_seen_nothing_is_known() -> None:
    assert successor(None, 0, NEXT) is None
