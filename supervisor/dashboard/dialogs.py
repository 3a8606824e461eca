"""Dialogs over the screen: a question with choices, and a page of text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from supervisor.dashboard.lineview import LineView
from supervisor.dashboard.spans import Line


class Choice(NamedTuple):
    """One choice of a question.  `key` selects it at once; `answer` is then the result of the question."""

    key: str
    label: str
    answer: str


class Question(ModalScreen[str]):
    """A question with its choices below; escape gives the empty answer."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss('')", "cancel"),
        Binding("j", "down", show=False),
        Binding("k", "up", show=False),
    ]

    def __init__(self, title: str, body: str, choices: Sequence[Choice]) -> None:
        super().__init__()
        self._title, self._body, self._choices = title, body, choices

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog") as box:
            box.border_title = self._title
            yield Static(Content(self._body), id="question")
            yield OptionList(
                *(Option(Content(f"{c.key or ' '}  {c.label}"), id=str(n)) for n, c in enumerate(self._choices))
            )

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._choices[event.option_index].answer)

    def on_key(self, event: events.Key) -> None:
        for choice in self._choices:
            if choice.key and event.character == choice.key:
                event.stop()
                self.dismiss(choice.answer)
                return

    def action_down(self) -> None:
        self.query_one(OptionList).action_cursor_down()

    def action_up(self) -> None:
        self.query_one(OptionList).action_cursor_up()


class Page(ModalScreen[None]):
    """A page of text; escape, q, enter and ? close it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter,question_mark", "dismiss", "close"),
        Binding("j", "line(1)", show=False),
        Binding("k", "line(-1)", show=False),
    ]

    def __init__(self, title: str, lines: Callable[[int], Sequence[Line]]) -> None:
        """`lines(width)` gives the text; it is called again when the width changes."""
        super().__init__()
        self._title, self._lines = title, lines

    def compose(self) -> ComposeResult:
        page = LineView(id="page")
        page.border_title = self._title
        page.border_subtitle = "esc closes"
        yield page

    def on_mount(self) -> None:
        self.query_one(LineView).focus()

    def on_resize(self) -> None:
        self.call_after_refresh(self._fill)

    def _fill(self) -> None:
        page = self.query_one(LineView)
        page.set_lines(self._lines(page.room))

    def action_line(self, by: int) -> None:
        self.query_one(LineView).scroll_relative(y=by, animate=False)


SIGNALS = ("HUP", "INT", "TERM", "QUIT", "USR1", "USR2", "WINCH", "STOP", "CONT", "KILL")
_MEANINGS = {
    "HUP": "reload",
    "INT": "interrupt",
    "TERM": "end",
    "QUIT": "end with a core dump or stack trace",
    "USR1": "",
    "USR2": "",
    "WINCH": "",
    "STOP": "freeze",
    "CONT": "continue",
    "KILL": "kill",
}


def which_signal(targets: Sequence[str]) -> Question:
    """Asks for a signal; the answer is its name without SIG."""
    choices = [Choice("", f"{'SIG' + name:<9} {_MEANINGS[name]}", name) for name in SIGNALS]
    return Question("send a signal", f"To {listed(targets)}:", choices)


def listed(names: Sequence[str], maximum: int = 6) -> str:
    """Names for a sentence: at most `maximum`, and the number of the others."""
    shown = ", ".join(names[:maximum])
    return shown if len(names) <= maximum else f"{shown} and {len(names) - maximum} more"
