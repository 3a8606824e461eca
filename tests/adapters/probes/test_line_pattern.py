"""Patterns in output: judged as a person reads the line, and bounded whatever pattern and line are."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.probes import line_pattern
from supervisor.adapters.probes.line_pattern import LinePattern
from tests.doubles.fakes import run_until


@pytest.fixture
def loop() -> Iterator[EventLoop]:
    loop = EventLoop()
    yield loop
    loop.close()


class Judged:
    """A pattern, and what it said."""

    def __init__(self, loop: EventLoop, pattern: str) -> None:
        self.said: list[str] = []
        self.pattern = LinePattern(
            loop, pattern, lambda: self.said.append("matched"), lambda: self.said.append("unjudged")
        )

    def lines(self, *lines: bytes) -> list[str]:
        self.said.clear()
        self.pattern.lines(lines)
        return self.said


@pytest.mark.parametrize(
    "line",
    [
        b"ready",
        b"ready\r",
        b"\x1b[32mready\x1b[0m",
        b"\x1b[1;38;5;10mrea\x1b[mdy\x1b[K\r",
        b"\x1b]0;title\x07ready",
        b"loading 10%\rloading 99%\rready",
        b"ready\rloading again",
        b"r\x08reab\x08dy",
    ],
)
def test_a_line_is_judged_as_it_is_read(loop: EventLoop, line: bytes) -> None:
    assert Judged(loop, "^ready$").lines(line) == ["matched"]


@pytest.mark.parametrize("line", [b"not ready", b"ready!\r", b"", b"\r", b"\x1b[32m", b"\x08\x08ready?"])
def test_what_does_not_say_it(loop: EventLoop, line: bytes) -> None:
    assert Judged(loop, "^ready$").lines(line) == []


@pytest.mark.parametrize(("pattern", "line"), [(r"ready\r$", b"ready\r"), (r"^\x1b\[32mok", b"\x1b[32mok\x1b[0m")])
def test_a_pattern_for_the_bytes_themselves_still_holds(loop: EventLoop, pattern: str, line: bytes) -> None:
    assert Judged(loop, pattern).lines(line) == ["matched"]


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        ("(a+)+$", b"a" * 40 + b"b"),
        (".*.*.*.*=", b"q" * 4096),
        (r"(?:a|aa)+$", b"a" * 4000 + b"b"),
        (r"^(?=(x+x+)+y)", b"x" * 3000),
        (r"(.*)(.*)\1\2z$", b"ab" * 2000),
    ],
)
def test_a_search_without_end_is_given_up(loop: EventLoop, pattern: str, line: bytes) -> None:
    assert Judged(loop, pattern).lines(line) == ["unjudged"], "and it came back at all"


def test_after_that_lines_are_not_searched_for_a_while(loop: EventLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    judged = Judged(loop, "(a+)+$")
    assert judged.lines(b"a" * 40 + b"b") == ["unjudged"]
    assert judged.lines(b"aaa") == ["unjudged"], "this pattern has had its share"
    later = time.monotonic() + 60.0
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert judged.lines(b"aaa") == ["matched"]


def test_many_lines_are_searched_in_turns(loop: EventLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_pattern, "_SLICE", 0.0)
    judged = Judged(loop, "^last$")
    turns = 0

    def turn() -> bool:
        nonlocal turns
        turns += 1
        return bool(judged.said)

    judged.lines(b"one", b"two", b"three", b"last")
    run_until(loop, turn)
    assert judged.said == ["matched"] and turns >= 4


def test_what_is_closed_says_nothing(loop: EventLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_pattern, "_SLICE", 0.0)
    judged = Judged(loop, "^last$")
    judged.lines(b"one", b"last")
    judged.pattern.close()
    loop.turn()
    assert judged.said == []


def test_more_lines_than_can_wait(loop: EventLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_pattern, "_MOST_WAITING", 2)
    assert Judged(loop, "^a$").lines(b"a", b"b", b"c") == ["unjudged"]
