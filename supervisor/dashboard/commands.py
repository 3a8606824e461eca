"""Sends the commands of the user, after a confirmation where that matters, and shows the answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from textual.app import App

from supervisor.dashboard.dialogs import Choice, Question, listed, which_signal
from supervisor.dashboard.model import Model
from supervisor.dashboard.stream_reader import Client, ask
from supervisor.display import numbers as q
from supervisor.errors import SupervisorError

if TYPE_CHECKING:
    from supervisor.core.model.documents import Difference

T = TypeVar("T")

DRASTIC = frozenset({"stop", "restart"})
CONSEQUENCES = {
    "stop": "What depends on it goes on running.  It stays down until it is started again.",
    "restart": "It is stopped and started again.",
}
ALL_AT_ONCE = "  All at once: `supervisor restart --rolling` replaces one after the other."
SENT = {"start": "starting", "stop": "stopping", "restart": "restarting", "reset": "reset", "signal": "sent to"}
MOST_CHANGES = 12


class CommandSender:
    """Sends commands to the daemon.  The next status shows the effect, so only refusal and acceptance are reported."""

    def __init__(self, app: App[bool], client: Client, model: Model) -> None:
        self._app, self._client, self._model = app, client, model

    def act(self, verb: str, targets: Sequence[str]) -> None:
        """start, stop, restart or reset services and instances; what interrupts one only after a confirmation."""
        if not targets:
            return
        if verb not in DRASTIC:
            self._send(verb, targets)
            return
        meant = self._model.named(targets)
        if len(targets) == 1 and len(meant) <= 1:
            title, body, label = f"{verb} {targets[0]}?", CONSEQUENCES[verb], f"{verb} it"
        elif len(targets) == 1:
            title, label = f"{verb} {targets[0]}?", f"{verb} its {len(meant)} instances"
            body = f"{listed(meant)}\n{CONSEQUENCES[verb]}" + (ALL_AT_ONCE if verb == "restart" else "")
        else:
            whom = "all" if len(meant) == len(self._model.views) else "these"
            title, label = f"{verb} {whom} {len(meant)} instances?", f"{verb} them"
            body = f"{listed(targets)}\n{CONSEQUENCES[verb]}"
        self._confirm(title, body, label, lambda: self._send(verb, targets))

    def signal(self, targets: Sequence[str]) -> None:
        """Ask which signal, then send it."""
        alive = self._model.running(targets)
        if not alive:
            self._app.notify("no process is running there", severity="warning", timeout=3)
            return

        def chosen(name: str | None) -> None:
            if name:
                self._send("signal", alive, name)

        self._app.push_screen(which_signal(alive), chosen)

    def reload(self) -> None:
        """Show what an edited services.toml would change, then apply it."""

        def show(answer: Difference) -> None:
            words = changes(answer)
            if not words:
                self._app.notify("the configuration has not changed", timeout=3)
                return
            self._confirm("apply the configuration?", "\n".join(words), "apply it", apply)

        def apply() -> None:
            self._ask(self._client.reload, lambda _: self._app.notify("configuration applied", timeout=3))

        self._ask(lambda: self._client.reload(dry_run=True), show)

    def down(self) -> None:
        """Stop everything and end the daemon; a second time kills.  The header shows the progress."""
        self._ask(self._client.down, lambda _: None)

    def ask_down(self) -> None:
        body = "Everything is stopped in reverse dependency order, and the daemon ends."
        if self._model.closing:
            self._confirm("kill what is left?", "The shutdown is under way.", "kill now", self.down)
        else:
            self._confirm("shut down?", body, "stop everything", self.down)

    def ask_quit(self, chosen: Callable[[str], None]) -> None:
        """Ask whether to stop a daemon that was started with this dashboard."""
        if self._model.closing:
            choices = [
                Choice("k", "kill what is left", "down"),
                Choice("l", "leave: the shutdown continues", "leave"),
                Choice("c", "wait", ""),
            ]
            title, body = "still shutting down", "Some instances have not stopped yet."
        else:
            choices = [
                Choice("s", "stop everything", "down"),
                Choice("l", "leave it running", "leave"),
                Choice("c", "cancel", ""),
            ]
            alive = sum(1 for v in self._model.views if v["pid"] is not None)
            title, body = "quit", f"The daemon runs {q.count(alive, 'instance')}."
        self._app.push_screen(Question(title, body, choices), lambda answer: chosen(answer or ""))

    def _confirm(self, title: str, body: str, label: str, do: Callable[[], None]) -> None:
        choices = [Choice("y", label, "yes"), Choice("n", "cancel", "")]
        self._app.push_screen(Question(title, body, choices), lambda answer: do() if answer == "yes" else None)

    def _send(self, verb: str, targets: Sequence[str], signal: str | None = None) -> None:
        def accepted(names: list[str]) -> None:
            what = f"SIG{signal} " if signal is not None else ""
            self._app.notify(f"{what}{SENT[verb]} {listed(names, 4) or 'nothing'}", timeout=2.5)

        self._ask(lambda: self._client.act(verb, targets, signal), accepted)

    def _ask(self, call: Callable[[], T], done: Callable[[T], None]) -> None:
        ask(self._app.post_message, call, done, self.refused)

    def refused(self, error: SupervisorError) -> None:
        """Show the error and its hint."""
        self._app.notify(f"{error.message}\n{error.hint}".strip(), severity="error", timeout=8, markup=False)


def changes(answer: Difference) -> list[str]:
    """What a reload would do, one line each; nothing if it would do nothing."""
    words = [f"+ {name}" for name in answer["added"]] + [f"− {name}" for name in answer["removed"]]
    for name, keys in answer["changed"].items():
        how = "   (restarts)" if name in answer["restarted"] else ""
        how = "   (starts)" if name in answer.get("started", []) else how
        how = "   (at its next start)" if name in answer.get("resting", []) else how
        words.append(f"~ {name}: {', '.join(keys)}{how}")
    words += [f"~ {name}: `supervisor scale {name}={n}` ends" for name, n in answer.get("scale_ended", {}).items()]
    if answer["supervisor"]:
        words.append(f"takes effect when the daemon is restarted: {', '.join(answer['supervisor'])}")
    if len(words) > MOST_CHANGES:
        words = [*words[:MOST_CHANGES], f"and {len(words) - MOST_CHANGES} more"]
    return words
