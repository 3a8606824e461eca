"""The dashboard application: follows a daemon, keeps its status and events, and sends the commands of the user."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen

from supervisor.client import Client as DaemonClient
from supervisor.dashboard.commands import CommandSender
from supervisor.dashboard.model import Model
from supervisor.dashboard.overview import Overview
from supervisor.dashboard.stream_reader import Answer, Client, News, StatusWaiting, StreamReader, ask
from supervisor.dashboard.theme import PHI, PLAIN
from supervisor.errors import NoDaemon, SupervisorError

if TYPE_CHECKING:
    from supervisor.core.model.documents import Event
    from supervisor.core.model.evidence_documents import Evidence

BACKLOG = 200
"""Events asked for at the beginning; newer ones come by themselves."""


class Dashboard(App[bool]):
    """Ends with True if the daemon was ended from here.  `owns_daemon`: it was started with this dashboard, so
    quitting asks whether to stop it."""

    CSS_PATH = "dashboard.tcss"
    TITLE = "phi-supervisor"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("q,ctrl+c,ctrl+q", "quit", "quit", priority=False)]

    def __init__(self, client: Client, *, owns_daemon: bool = False) -> None:
        no_colour = bool(os.environ.get("NO_COLOR"))
        super().__init__(ansi_color=True if no_colour else None)
        self.animation_level = "none"  # animations are slow over ssh
        self.register_theme(PHI)
        few_colours = self.console.color_system == "standard" and PLAIN in self.available_themes
        self.theme = PLAIN if few_colours or no_colour else PHI.name
        self.model = Model()
        self.orders = CommandSender(self, client, self.model)
        self._client = client
        self._owns_daemon = owns_daemon
        self._ending = False
        self._fetching_place = False
        self._source = StreamReader(client, self.post_message, ("events", "status"))

    def get_default_screen(self) -> Screen[object]:
        self.overview = Overview(self.model, self.orders, self._client)
        return self.overview

    def on_ready(self) -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.exit, False)  # puts the terminal back
        self._source.start()
        self._fetch_events()

    def on_unmount(self) -> None:
        self._source.stop()

    # -- what comes in

    def on_status_waiting(self, _: StatusWaiting) -> None:
        status = self._source.take()
        if status is None:
            return
        told = self.model.take(status, time.monotonic())
        if told:
            self.notify(told, timeout=4)
            self._fetch_events()
        self.overview.renewed(resumed=bool(told))

    def on_news(self, news: News) -> None:
        if news.source is not self._source:
            self.overview.attention.tail.news(news)
        elif news.message[0] == "event":
            self._note([news.message[1]])
        elif news.message[0] == "disconnected" or news.message[0] == "refused":
            if self._ending:
                self.exit(True)
                return
            why = news.message[1]["error"] if news.message[0] == "refused" else ""
            self.model.lost(why, time.monotonic())
            self.overview.renewed()

    def on_answer(self, answer: Answer) -> None:
        answer.deliver()

    def _fetch_events(self) -> None:
        ask(self.post_message, lambda: self._client.events(limit=BACKLOG), self._note, unanswered)

    def _note(self, events: list[Event]) -> None:
        fresh = self.model.history.note(events)
        if fresh:
            self.model.places.note(fresh)
            self._fetch_place()
            self.overview.happened(fresh)

    def _fetch_place(self) -> None:
        """Fetch the evidence of the last failures, one after the other: it says where the process was."""
        missing = self.model.places.missing()
        if missing is None or self._fetching_place:
            return
        name, number = missing
        self._fetching_place = True

        def known(evidence: Evidence | None) -> None:
            self._fetching_place = False
            self.model.places.take(name, number, evidence)
            self.overview.renewed()
            self._fetch_place()

        def failed(error: SupervisorError) -> None:
            self._fetching_place = False
            if not isinstance(error, NoDaemon):  # it is no longer kept
                known(None)

        ask(self.post_message, lambda: self._client.evidence(number), known, failed)

    # -- the end

    async def action_quit(self) -> None:
        if not self._owns_daemon or not self.model.live:
            self.exit(False)
            return
        self.orders.ask_quit(self._quit)

    def _quit(self, answer: str) -> None:
        if answer == "leave":
            self.exit(False)
        elif answer == "down":
            self._ending = True
            self.orders.down()

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The command palette: Textual's own, and what has no key because it concerns everything."""
        yield from super().get_system_commands(screen)
        everything = [view["name"] for view in self.model.views]
        yield SystemCommand("Reload the configuration", "Show what would change, then apply it", self.orders.reload)
        yield SystemCommand("Shut down", "Stop everything and end the daemon", self.orders.ask_down)
        for verb in ("start", "stop", "restart", "reset"):
            yield SystemCommand(
                f"{verb.capitalize()} all", f"{verb} every instance", lambda v=verb: self.orders.act(v, everything)
            )


def unanswered(_: SupervisorError) -> None:
    """Ignores the error: the stream reports a lost connection already."""


def run(client: DaemonClient, *, owns_daemon: bool = False) -> bool:
    """Show the dashboard until the user leaves it; True if the daemon was ended from there.  NoDaemon if none
    answers to begin with."""
    client.status()
    quiet = DaemonClient(client.path, client.file)  # the header says when no answer comes
    return bool(Dashboard(quiet, owns_daemon=owns_daemon).run())
