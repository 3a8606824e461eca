"""The line above the keys: where filter and search are typed, and which tells what is hidden or selected."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input, Label

from supervisor.display import numbers as q

_LABELS = {"filter": "filter", "search": "search", "log": "search the log"}


class Prompt(Horizontal):
    """Hidden unless the user types in it or there is something to tell."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "give_up", "cancel", show=False)]

    class Given(Message):
        """The user has given up typing."""

    def __init__(self) -> None:
        super().__init__(id="prompt")
        self.what = ""
        self._words = ""

    def compose(self) -> ComposeResult:
        yield Label(id="prompt-label")
        yield Input(compact=True, id="prompt-input")

    def open(self, what: str, value: str) -> None:
        """Let the user type; `what` is `filter`, `search` or `log`, and `value` the text to begin with."""
        self.what = what
        self.add_class("-open", "-typing")
        self.query_one(Label).update(f" {_LABELS[what]} ❯ ")
        box = self.query_one(Input)
        with self.prevent(Input.Changed):
            box.value = value
        box.focus()

    def close(self) -> None:
        self.what = ""
        self.remove_class("-typing")
        self._show()

    def tell(self, text: str, problems: bool, hidden: int, marked: int) -> None:
        """Show how many instances the filter hides, and how many are selected."""
        words = []
        if marked:
            words.append(f"{marked} selected: keys act on them, esc clears")
        if text or problems:
            what = " ".join(["problems"] * problems + ([text] if text else []))
            words.append(f"filter: {what} ({q.count(hidden, 'instance')} hidden, esc clears)")
        said = "   ".join(words)
        if said != self._words:
            self._words = said
            self._show()

    def action_give_up(self) -> None:
        self.post_message(self.Given())

    def _show(self) -> None:
        if self.what:
            return
        self.set_class(bool(self._words), "-open")
        self.query_one(Label).update(f" {self._words}")
