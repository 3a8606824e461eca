"""The lines of a command that tells when each process last gave a sign of life."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.detection.process_lines import ProcessLine, parse


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("7 0", ProcessLine(7, 0.0)),
        ("  7\t1.25 ", ProcessLine(7, 1.25)),
        ("7 1.25 60", ProcessLine(7, 1.25, 60.0)),
        ("7 1.25 60 /shop?a=1  b", ProcessLine(7, 1.25, 60.0, "/shop?a=1  b")),
        ("7 1.25 - imports", ProcessLine(7, 1.25, inf, "imports")),
        ("7 0 60 \x1b[31mred\x07", ProcessLine(7, 0.0, 60.0, "[31mred")),
        ("7 0 60 " + "x" * 300, ProcessLine(7, 0.0, 60.0, "x" * 200)),
    ],
)
def test_a_line(line: str, found: ProcessLine) -> None:
    assert list(parse(line.encode())) == [found]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "7",
        "ok",
        "pid 7",
        "-7 0",
        "7 -1",
        "7 nan",
        "7 inf",
        "7 1e10",
        "7 soon",
        "7 0 later",
        "7 0 -1",
        "99999999999 0",
        "٣ 0",
    ],
)
def test_what_is_no_line(line: str) -> None:
    assert list(parse(line.encode())) == []


def test_each_process_once_among_other_output() -> None:
    output = b"two children\n8 1\n\xff\xfe\n9 0 -\n8 0\r\n"
    assert list(parse(output)) == [ProcessLine(8, 1.0), ProcessLine(9, 0.0, inf)]


@given(st.binary())
def test_any_output_is_read(output: bytes) -> None:
    for line in parse(output):
        assert line.pid >= 0 and 0.0 <= line.age < inf
