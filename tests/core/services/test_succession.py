"""Which process of a tree takes over from a main process that ended."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from supervisor.core.services.succession import RAN_AT_LEAST, successor


class Found(NamedTuple):
    """What /proc shows of a process."""

    name: str
    ppid: int
    state: str = "S"


NGINX = {20: Found("nginx", 1), 21: Found("nginx", 20), 22: Found("nginx", 20)}


@pytest.mark.parametrize(
    ("left", "pid"),
    [
        (NGINX, 20),
        ({20: Found("nginx", 1)}, 20),
        ({20: Found("nginx", 1), 23: Found("logger", 20)}, 20),
        ({}, None),
        ({20: Found("helper", 1)}, None),
        ({20: Found("nginx", 1), 30: Found("nginx", 1)}, None),
        ({20: Found("nginx", 1), 30: Found("helper", 1)}, None),
        ({20: Found("nginx", 1), 30: Found("helper", 1, "Z")}, 20),
        ({20: Found("nginx", 1, "Z"), 21: Found("nginx", 20)}, None),
    ],
)
def test_the_one_process_of_that_name_from_which_all_others_descend(left: dict[int, Found], pid: int | None) -> None:
    assert successor("nginx", 60.0, 0, left) == pid


def test_a_program_that_goes_to_the_background_has_no_successor() -> None:
    assert successor("nginx", RAN_AT_LEAST - 0.01, 0, NGINX) is None
    assert successor("nginx", RAN_AT_LEAST, 0, NGINX) == 20


@pytest.mark.parametrize("code", [None, 1, 143])
def test_a_failure_is_no_handing_over(code: int | None) -> None:
    assert successor("nginx", 60.0, code, NGINX) is None
