"""The page of `report --html`: it is well formed, asks for nothing outside, and says what the report says."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from supervisor.core.history.report import report
from supervisor.core.history.strips import strips
from supervisor.core.model.causes import FAILURES
from supervisor.core.model.instance_documents import Instance
from supervisor.display.report_html import _PLAIN, COLUMNS, SHOWN, page
from tests.core.history.test_report import T0, History, row

VOID = {"link", "input", "meta", "rect"}


class Reader(HTMLParser):
    """The text of a page, and how often each element occurs; every element must be closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: dict[str, int] = {}
        self.attributes: list[tuple[str, str]] = []
        self.words = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag] = self.elements.get(tag, 0) + 1
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag] = self.elements.get(tag, 0) + 1
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words += data


def made(history: History, until: float, *rows: Instance, name: str = "shop") -> str:
    figures = report(history.events, T0, T0 + until, list(rows))
    return page(name, figures, strips(history.events, T0, T0 + until, list(rows), COLUMNS))


def week() -> str:
    history = History(1).boot(0, 10).crash(1000, 1005, 1030).hang(5000, 5002, 5100).boot(0, 0, name="db")
    return made(history, 10_000, row(), row("db"))


def test_it_says_what_happened_in_sentences() -> None:
    words = Reader(week()).words
    assert "Availability of shop" in words
    assert "2 services with 2 instances were available for 99.3 % of the time in which they were wanted." in words
    assert "There were 2 failures, all of them mended without action of a user." in words
    assert "The longest interruption that is over took 1 min 40 s." in words
    assert "the process ended with an error" in words
    assert "it hung: no sign of life" in words
    assert "4 s on average, 4 s at most" in words
    restarts = words.partition("Restarts by cause")[2]
    assert restarts.index("the process ended with an error") < restarts.index("it hung: no sign of life")
    assert "Of the instances that should be ready now, 100 % are." in words


def test_it_asks_for_nothing_outside_and_runs_nothing() -> None:
    text = week()
    read = Reader(text)
    assert not {"script", "link", "img", "iframe", "a", "object"} & set(read.elements)
    assert not {name for name, _ in read.attributes if name in ("src", "href") or name.startswith("on")}
    assert not re.search(r"url\(|@import|https?:", text)
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in read.attributes
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text
    assert "size: A4" in text


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "a\"b'c&d", "x" * 300, "\x1b[31m\u202e\n"])
def test_names_may_hold_anything(name: str) -> None:
    history = History(1).boot(0, 0, name=name).crash(20, 21, 22, name=name)
    plain, odd = Reader(week()), Reader(made(history, 100, row(name), name=name))
    assert set(odd.elements) <= set(plain.elements)
    shown = "".join(c if c.isprintable() else "\ufffd" for c in name)
    assert odd.words.count(shown) == 4  # title, heading, strip and table
    assert ("title", shown) in odd.attributes


def test_nothing_recorded_is_said_in_one_sentence() -> None:
    read = Reader(made(History(), 0))
    assert "Nothing is recorded in this period" in read.words
    assert "svg" not in read.elements
    assert "table" not in read.elements


@pytest.mark.parametrize(
    ("failing", "healed", "said"),
    [(0, True, "Nothing failed."), (1, True, "one failure, mended"), (1, False, "one failure, not mended")],
)
def test_few_failures_in_words(failing: int, healed: bool, said: str) -> None:
    history = History(1).boot(0, 0)
    for at in range(10, 10 + failing):
        history.crash(at, at, at) if healed else history.add(at, "running", "exited", "exited", exit_code=1)
    assert said in Reader(made(history, 100, row())).words


def test_500_services_are_folded_and_those_with_trouble_come_first() -> None:
    history = History(1)
    names = [f"s{k:03}" for k in range(500)]
    for name in names:
        history.boot(0, 0, name=name)
    history.crash(50, 60, 70, name="s499")
    read = Reader(made(history, 100, *map(row, names)))
    assert read.words.count("460 more services, with less trouble") == 2
    assert read.elements["details"] == 2
    assert read.elements["svg"] == 500
    assert read.words.index("s499") < read.words.index("s000")
    assert SHOWN == 40


def test_a_short_outage_can_be_seen() -> None:
    """0.4 s of 7 days would be less than a pixel."""
    history = History(1).boot(0, 0).crash(300_000, 300_000.2, 300_000.4)
    heights = re.findall(r'<rect class=down [^>]*height="([\d.]+)"', made(history, 7 * 86_400, row()))
    assert heights == ["0.18"]


def test_time_without_a_daemon_is_shown_as_not_known() -> None:
    history = History(1).boot(0, 0).boot(5_000, 5_000, incarnation=2)
    text = made(history, 10_000, row(incarnation=2))
    assert "because no daemon ran" in Reader(text).words
    assert "<rect class=unknown" in text


def test_an_outage_that_is_not_over_is_said() -> None:
    history = History(1).boot(0, 0).add(50, "running", "failed", "exited", exit_code=1, breaker="open")
    words = Reader(made(history, 100, row(state="failed", ready=False, cause="exited"), row("db"))).words
    assert "At the end, only 50 % of the instances that should be ready were." in words
    assert "At the end" not in Reader(week()).words


def test_each_failure_has_plain_words() -> None:
    assert set(_PLAIN) == FAILURES


def test_what_is_known_of_one_instance_only_is_still_a_page() -> None:
    stopped: Any = row(state="stopped", goal="down", ready=False)
    assert "is not known" in Reader(made(History(), 100, stopped)).words


def test_what_each_instance_behind_the_balancer_got() -> None:
    def carried(requests: int, errors: int = 0, slot: str | None = "active") -> Any:
        return {"slot": slot, "sessions": 0, "queue": 0, "rate": 0, "requests": requests, "errors": errors}

    history = History(1).boot(0, 10)
    rows: list[Any] = [
        {**row(), "name": name, "service": "web", "balanced": balanced}
        for name, balanced in (
            ("web@1", carried(200)),
            ("web@2", carried(100, 3, "draining")),
            ("web@3", carried(0, 0, None)),
        )
    ]
    figures = report(history.events, T0, T0 + 100, rows)
    found = Reader(page("shop", figures, {}, rows))
    assert "How requests were spread" in found.words
    for told in ("200 requests", "100 requests, 3 failed, takes no more", "0 requests, not in service"):
        assert told in found.words
    assert ("style", "width:50.0%") in found.attributes
    assert "How requests" not in made(history, 100, row())
