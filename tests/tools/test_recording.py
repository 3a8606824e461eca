"""The picture at the head of README: what its terminal understands, when a moment is seen, and what is drawn."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest

from scripts.tools.docs import recording
from scripts.tools.docs.animated_terminal import BACKGROUND, Frame, Run, Screen, lines_of, svg

CLEAR = "\x1b[2J\x1b[H"


def shown(screen: Screen) -> list[str]:
    return [line.rstrip() for line in screen.display if line.strip()]


def test_a_full_screen_program_leaves_what_was_there_before() -> None:
    screen = Screen(20, 4)
    screen.feed("$ top\r\n")
    screen.feed("\x1b[?1049h\x1b[>1u" + CLEAR + "h")
    screen.feed("ello\x1b[<1u")
    assert shown(screen) == ["hello"]
    screen.feed("\x1b[?1049l$ ")
    assert shown(screen) == ["$ top", "$"]


def test_neighbours_that_look_alike_are_one_run() -> None:
    screen = Screen(12, 1)
    screen.feed("\x1b[?25lab \x1b[1;38;2;255;0;0mcd\x1b[0m")
    assert lines_of(screen) == ((Run(0, "ab ", "#e6edf3", BACKGROUND), Run(3, "cd", "#ff0000", BACKGROUND, True)),)


def recorded(printed: list[tuple[float, str]], fast: list[tuple[float, float, float]]) -> Any:
    return SimpleNamespace(printed=printed, fast=fast, said=[(0.0, "begins"), (12.0, "goes on")])


def test_what_is_played_faster_says_so_while_it_is() -> None:
    terminal = recorded([(1.0, "a"), (6.0, "b"), (13.0, "c")], [(2.0, 12.0, 1.0)])
    frames, seconds = recording.frames_of(terminal, 14.0)
    seen = [(round(frame.at, 6), frame.caption, frame.speed) for frame in frames]
    assert (
        seen
        == [
            (1.0, "begins", 1.0),
            (2.0, "begins", 10.0),
            (2.4, "begins", 10.0),
            (3.0, "goes on", 1.0),
            (4.0, "goes on", 1.0),
        ]
        or seen[0][0] == 0.0
    )
    assert seconds == pytest.approx(5.0)


def test_the_picture_is_whole_and_says_how_fast_it_is() -> None:
    line = (Run(0, "a<b>", "#ffffff", "#000000"),)
    frames = [Frame(0.0, (line, ()), "one & two"), Frame(1.0, (line, line), "three", 4.0)]
    text = svg(frames, 10, 2, 2.0, still=1, title="A run")
    root = ElementTree.fromstring(text)
    words = "".join(root.itertext())
    assert "a<b>" in words and "one & two" in words and "▶▶ 4 times as fast" in words and "▶ real time" in words
    assert text.count("<g id=") == 2, "the line is drawn once, beside the column of frames"
    assert "50.000%{transform:translateY(" in text
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)


def test_the_picture_of_readme_is_small_and_loads_nothing() -> None:
    text = recording.PICTURE.read_text()
    assert len(text.encode()) <= recording.LIMIT
    assert "hangs at worker.py:31 in work()" in re.sub(r"\s", " ", text)
    assert "<script" not in text and text.count("http") == 1
