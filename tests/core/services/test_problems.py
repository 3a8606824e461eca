"""The problems that `status` shows."""

from __future__ import annotations

from supervisor.core.services.problems import Problems


def test_the_newest_each_once_and_none_that_is_over() -> None:
    problems = Problems()
    for text in ("disk", "clock", "disk"):
        problems.add(text)
    assert list(problems) == ["disk", "clock"]
    problems.remove("disk")
    problems.remove("never was")
    assert list(problems) == ["clock"]
    for number in range(20):
        problems.add(str(number))
    assert list(problems) == [str(number) for number in range(20)]
