"""The page of an instance: what it says of each state, and that it fits a terminal."""

from __future__ import annotations

from typing import Any

import pytest

from supervisor.core.history.why import why
from supervisor.core.model.document_types import State
from supervisor.core.model.documents import Process
from supervisor.core.model.instance_documents import Instance
from supervisor.display.instance_page import Limits, Page, first_line, labelled, next_commands, page_lines
from supervisor.display.process_tree import ASCII, LINES
from tests.doubles.fake_client import MIB, beating, details, twelve, view


def page(state: State = "running", **more: Any) -> Page:
    return page_of(view("web", state, **more))


def page_of(row: Instance) -> Page:
    detail = details(row)
    return Page(
        view=detail,
        story=why(detail, detail["transitions"], lambda _number: None, lambda *_: [], last=1),
        now=1_000_000.0,
        defined="/srv/shop/services.toml:12",
        ready="http://127.0.0.1:8000/healthz answers",
        reloads="on SIGHUP, if `web -t` succeeds",
        limits=Limits(memory=512 * MIB, cpu=1.5, tasks=40),
        needs={"redis": "running, ready", "db": ""},
        needed_by={"front": "2 of 3 ready"},
        lines=[{"at": 1000.0, "text": "GET / 200"}, {"at": None, "text": "x" * 200}],
    )


def fact(lines: list[str], label: str) -> str:
    return next(line.partition(": ")[2] for line in lines if line.strip().startswith(f"{label}:"))


def test_the_page_of_a_healthy_instance_has_all_its_facts() -> None:
    lines = page_lines(page(**beating(0.31), port=8001), ASCII, None)
    assert fact(lines, "Defined") == "/srv/shop/services.toml:12"
    assert fact(lines, "State").startswith("running and ready (run 1, pid ")
    assert fact(lines, "Next") == "in 3.3 s: suspicion, unless a heartbeat comes; it is healthy now"
    assert fact(lines, "Restarts") == "0; at most 5 in 1 min; policy on-failure"
    assert fact(lines, "Ready when") == "http://127.0.0.1:8000/healthz answers"
    assert fact(lines, "Reloads") == "on SIGHUP, if `web -t` succeeds"
    assert (
        fact(lines, "Heartbeat") == "silent for 0.68 s of the 4 s that are allowed; phi 0.31 of 8; by notify, every 1 s"
    )
    assert fact(lines, "Resources") == "CPU 0.4 % of 150 %, memory 24.0M of 512M, at most 40 processes and threads"
    assert fact(lines, "Port") == "8001"
    assert fact(lines, "Needs") == "redis (running, ready), db"
    assert fact(lines, "Needed by") == "front (2 of 3 ready)"
    assert any(line.endswith("|- python -m shop.pool --slot 1") for line in lines)
    assert any(line.endswith("  GET / 200") for line in lines) and "x" * 200 in lines
    assert lines[-3:] == [
        "  supervisor why web      its last failures",
        "  supervisor logs -f web  its output",
        "  supervisor tree web     its processes",
    ]


def test_the_status_text_is_said_once() -> None:
    lines = page_lines(page(**beating(0.31), status="serving 3 clients"), ASCII, None)
    assert sum("serving 3 clients" in line for line in lines) == 1
    starting = page_lines(page("starting", ready=False, status="loading", ready_within_s=5.0), ASCII, None)
    assert fact(starting, "Note") == "loading, fails in 5.0s"


@pytest.mark.parametrize("row", twelve(), ids=lambda row: row["name"])
def test_it_fits_a_terminal_in_each_state(row: Instance) -> None:
    for width in (80, 132):
        lines = page_lines(page_of(row), LINES, width)
        assert max(map(len, lines)) <= width


def test_a_failure_tells_when_it_is_tried_again() -> None:
    row = next(row for row in twelve() if row["name"] == "mailer")
    lines = page_lines(page_of(row), ASCII, None)
    assert fact(lines, "State").endswith("exited with code 1")
    assert fact(lines, "Next") == "in 4.2 s: it is started again (attempt 4)"
    assert fact(lines, "Restarts") == "4; 4 of at most 5 in 1 min; policy on-failure"
    assert lines[-3].strip().startswith("supervisor why mailer") and "supervisor reset mailer" in lines[-1]


def test_what_it_does_not_have_is_left_out() -> None:
    bare = page(state="stopped", since_s=None)._replace(
        defined="", ready="", reloads="", needs={}, needed_by={}, lines=[], limits=Limits()
    )
    lines = page_lines(bare, ASCII, 80)
    assert not any(line.strip().startswith(("Defined", "Since", "Heartbeat", "Resources", "Needs")) for line in lines)
    assert fact(lines, "Output") == "none"
    assert not any("Processes" in line for line in lines)


def test_what_cannot_be_read_and_what_cannot_ask_is_told() -> None:
    found = page(probe={"failures": 3, "error": "no such program", "blind_s": None}, breaker="half-open")
    lines = page_lines(found._replace(lines="cannot be read: no space"), ASCII, None)
    assert fact(lines, "Output") == "cannot be read: no space"
    assert fact(lines, "Probes") == "3 could not ask; the last: no such program"
    assert fact(lines, "Restarts").endswith("; breaker half-open")


def test_the_note_of_the_row_stands_on_the_page() -> None:
    lines = page_lines(
        page("starting", ready=False, waiting_for="db", waiting_because="its breaker is open"), ASCII, None
    )
    assert fact(lines, "Note") == "waiting for db (its breaker is open)"
    assert fact(page_lines(page(goal="down"), ASCII, None), "Note") == "stops after its dependants"


def test_many_processes_are_counted() -> None:
    found = page()
    many: list[Process] = [{**found.view["tree"][0], "pid": n, "ppid": 1} for n in range(100, 120)]
    found.view["tree"] = many
    lines = page_lines(found, ASCII, 80)
    assert sum("python -m shop.web" in line for line in lines) == 8 and f"{'':12} and 12 more" in lines


@pytest.mark.parametrize(
    ("state", "cause", "verbs"),
    [
        ("running", "ready", ["why", "logs", "tree"]),
        ("suspect", "heartbeat-silent", ["why", "logs", "tree"]),
        ("failed", "exited", ["why", "logs", "reset"]),
        ("exited", "exited", ["why", "logs", "reset"]),
        ("exited", "succeeded", ["start", "why", "show"]),
        ("stopped", "stopped", ["start", "why", "show"]),
    ],
)
def test_what_to_type_next(state: State, cause: str, verbs: list[str]) -> None:
    assert [line.split()[1] for line in next_commands(view("web@1", state, cause=cause))] == verbs


def test_first_line_and_labels() -> None:
    assert first_line("web", "") == "web" and first_line("web", "a\x1bb") == "web - a�b"
    assert labelled("Needs", "", 80) == ["      Needs: "]
    first, second = labelled("Needs", "word " * 20, 80)
    assert first.startswith("      Needs: word") and second.startswith(f"{'':13} word"[:13])
