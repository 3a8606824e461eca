"""The question once more to a suspect whose dependency cannot run."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from supervisor.daemon.needed import Answer, Question, no_answer

STOPPED = "db, which it depends on, is stopped (SIGSTOP)"


def says(alive: bool, unasked: str | None = None) -> Callable[[Answer], Callable[[], None]]:
    def confirm(answer: Answer) -> Callable[[], None]:
        answer(alive, unasked)
        return lambda: None

    return confirm


def ask(confirm: Callable[[Answer], Callable[[], None]], looks: list[str | None]) -> tuple[bool, str | None]:
    found: Iterator[str | None] = iter(looks)
    answers: list[tuple[bool, str | None]] = []
    question = Question(confirm, lambda: next(found))
    question.ask(lambda *answer: answers.append(answer))
    ((alive, unasked),) = answers
    assert question.cannot_run == (None if alive or STOPPED not in looks else STOPPED)
    return alive, unasked


@pytest.mark.parametrize("looks", [[STOPPED], [None, STOPPED]])
def test_no_answer_proves_nothing_where_a_dependency_cannot_run(looks: list[str | None]) -> None:
    """Stopped when it was asked, or when the time for the answer was over."""
    assert ask(says(False), looks) == (False, STOPPED)
    assert ask(no_answer, looks) == (False, STOPPED), "a source that cannot be asked, such as notify"


def test_an_answer_counts_all_the_same() -> None:
    assert ask(says(True), [STOPPED]) == (True, None)


def test_without_such_a_dependency_it_is_the_plain_question() -> None:
    assert ask(says(False), [None, None]) == (False, None)
    assert ask(says(False, "no memory"), [None, None]) == (False, "no memory")
