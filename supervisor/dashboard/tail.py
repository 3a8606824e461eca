"""Keeps the log pane filled with the newest output of some instances.

The stream only announces new output.  The lines themselves are fetched from a cursor, so that none is shown twice and
none is lost.  Where more is written than can be shown, lines are left out, and the pane says so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from supervisor.dashboard.logpane import Entry, LogPane
from supervisor.dashboard.stream_reader import Client, News, Post, StreamReader, ask
from supervisor.errors import SupervisorError

if TYPE_CHECKING:
    from supervisor.core.model.log_documents import Logs

FIRST = 400
"""Lines fetched to begin with, shared by all targets."""
PACE = 0.25
"""Seconds between two fetches for one instance."""
MOST_TARGETS = 8


class Tail:
    """Follows the instances that `watch` names; `close` it when the pane is hidden."""

    def __init__(
        self, client: Client, post: Post, later: Callable[[float, Callable[[], None]], object], pane: LogPane
    ) -> None:
        self._client, self._post, self._later, self._pane = client, post, later, pane
        self._source: StreamReader | None = None
        self._first: dict[str, str] = {}
        self._last: dict[str, str] = {}
        self._busy: set[str] = set()
        self._more: set[str] = set()
        self._backlog: dict[str, list[Entry]] = {}
        self._round = 0

    @property
    def targets(self) -> list[str]:
        return self._pane.targets

    def watch(self, targets: Sequence[str]) -> None:
        """Show the output of these instances from now on, at most MOST_TARGETS."""
        targets = list(targets)[:MOST_TARGETS]
        if self._source is not None and targets == self.targets:
            return
        self.close()
        self._pane.begin(targets)
        self._round += 1
        self._first, self._last, self._busy, self._more, self._backlog = {}, {}, set(), set(), {}
        if not targets:
            return
        self._source = StreamReader(self._client, self._post, ("logs",), targets)
        self._source.start()
        for name in targets:
            self._fetch(name, partial(self._client.logs, name, lines=max(50, FIRST // len(targets))), self._begin)

    def close(self) -> None:
        """Stop following."""
        if self._source is not None:
            self._source.stop()
            self._source = None

    def news(self, news: News) -> None:
        """Handle a message of the stream; messages of other streams are ignored."""
        if news.source is not self._source:
            return
        if news.message[0] == "log":
            self._follow(news.message[1]["instance"])
        elif news.message[0] in ("connected", "lagged"):
            self.resume()

    def resume(self) -> None:
        """Fetch what was written during a pause or while the connection was lost."""
        for name in list(self._last):
            self._follow(name)

    def older(self) -> None:
        """Fetch older lines; does nothing unless exactly one instance is shown."""
        if len(self.targets) == 1 and (name := self.targets[0]) in self._first and name not in self._busy:
            self._fetch(name, partial(self._client.logs, name, before=self._first[name]), self._before)

    def _follow(self, name: str) -> None:
        if self._pane.paused or name not in self._last:
            return
        if name in self._busy:
            self._more.add(name)
        else:
            self._fetch(name, partial(self._client.logs, name, after=self._last[name]), self._after)

    def _fetch(self, name: str, page: Callable[[], Logs], take: Callable[[str, Logs], None]) -> None:
        this_round = self._round
        self._busy.add(name)

        def done(answer: Logs) -> None:
            if this_round == self._round:
                take(name, answer)
                self._later(PACE, lambda: self._free(name, this_round))

        def failed(error: SupervisorError) -> None:
            if this_round == self._round:
                self._busy.discard(name)
                self._pane.append([Entry(name, None, f"— {error.message} —")])
                if name not in self._last:
                    self._put_in(name, [])

        ask(self._post, page, done, failed)

    def _free(self, name: str, of_round: int) -> None:
        if of_round == self._round:
            self._busy.discard(name)
            if name in self._more:
                self._more.discard(name)
                self._follow(name)

    def _begin(self, name: str, answer: Logs) -> None:
        self._first[name], self._last[name] = answer["first"], answer["last"]
        self._put_in(name, entries(answer))

    def _put_in(self, name: str, first: list[Entry]) -> None:
        """Collect the first lines of all targets, then show them together, sorted by time where it is known."""
        self._backlog[name] = first
        if len(self._backlog) == len(self.targets):
            every = [e for n in self.targets for e in self._backlog[n]]
            self._backlog = {}
            self._pane.append(sorted(every, key=lambda e: e.at or 0.0))

    def _after(self, name: str, answer: Logs) -> None:
        if answer["lines"]:
            self._last[name] = answer["last"]
        self._pane.append(entries(answer))
        if not answer["at_end"]:
            self._fetch(name, partial(self._client.logs, name, lines=FIRST), self._skip)

    def _skip(self, name: str, answer: Logs) -> None:
        self._last[name] = answer["last"]
        self._pane.append([Entry(name, None, "— more output than can be shown: some lines are left out here —")])
        self._pane.append(entries(answer))

    def _before(self, name: str, answer: Logs) -> None:
        if answer["lines"]:
            self._first[name] = answer["first"]
            self._pane.prepend(entries(answer))


def entries(answer: Logs) -> list[Entry]:
    """The lines of a /v1/logs answer."""
    return [Entry(answer["instance"], each["at"], each["text"]) for each in answer["lines"]]
