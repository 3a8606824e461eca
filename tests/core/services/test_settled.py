"""When a command counts as done, and when as impossible."""

from __future__ import annotations

import pytest

from supervisor.core.model.instance_documents import Instance
from supervisor.core.services.settled import Failure, settled
from tests.doubles.fake_client import view

DONE, WAIT = True, False
CASES: list[tuple[str, str, Instance, bool | str]] = [
    ("start", "ready", view("a"), DONE),
    ("start", "ready as soon as it runs", view("a", cause="spawned", uptime_s=0.99), WAIT),
    ("start", "it has lived a second", view("a", cause="spawned", uptime_s=1.0), DONE),
    ("start", "seen to be ready", view("a", cause="ready", uptime_s=0.01), DONE),
    ("restart", "dies soon again", view("a", cause="spawned", incarnation=3, uptime_s=0.2), WAIT),
    ("start", "not ready yet", view("a", "starting"), WAIT),
    ("start", "runs, and is not ready", view("a", ready=False), WAIT),
    ("start", "a oneshot at work", view("a", ready=False, type="oneshot"), WAIT),
    ("start", "a oneshot that is done", view("a", "exited", cause="succeeded", exit_code=0), DONE),
    ("start", "a oneshot that failed", view("a", "exited", cause="exited", exit_code=3), "code 3"),
    (
        "start",
        "breaker",
        view("a", "failed", cause="killed-by-signal", signal=11, breaker="open"),
        "SIGSEGV; breaker",
    ),
    ("start", "first backoff", view("a", "backoff", cause="exited", exit_code=1, incarnation=1), WAIT),
    ("start", "too many", view("a", "backoff", cause="exited", exit_code=1, incarnation=3), "3 times"),
    ("start", "somebody else stopped it", view("a", "stopped", goal="down", ready=False), "stopped again"),
    ("start", "suspect", view("a", "suspect", ready=False), WAIT),
    ("start", "waits for one that starts", view("a", "starting", waiting_for="starts"), WAIT),
    ("start", "waits for one that failed", view("a", "starting", waiting_for="failed"), "failed, which has failed"),
    ("start", "waits for one that is down", view("a", "starting", waiting_for="down"), "down, which is stopped"),
    ("start", "waits for the end of its fallback", view("a", "starting", waiting_for="ends"), WAIT),
    ("start", "which has dependants to end", view("a", "starting", waiting_for="is to end"), WAIT),
    ("start", "and does not end", view("a", "starting", waiting_for="stays"), "stays, which is stopped"),
    ("start", "waits for a slot", view("a", "starting", waiting_for="a restart slot"), WAIT),
    ("stop", "stopped", view("a", "stopped", goal="down"), DONE),
    ("stop", "stopping", view("a", "stopping", goal="down"), WAIT),
    ("stop", "after its dependants", view("a", goal="down"), WAIT),
    ("stop", "wanted again", view("a", goal="up"), "started again"),
    ("stop", "will not die", view("a", "stopping", goal="down", stuck=True, lingering=["7 x (D)"]), "7 x (D)"),
    ("restart", "still the old one", view("a", incarnation=0), WAIT),
    ("restart", "being stopped", view("a", "stopping", incarnation=0), WAIT),
    ("restart", "the new one", view("a", incarnation=1), DONE),
    ("restart", "the new one fails", view("a", "failed", cause="exited", exit_code=1, incarnation=1), "code 1"),
    ("restart", "waits in vain", view("a", "starting", incarnation=0, waiting_for="failed"), "which has failed"),
    ("reset", "runs as before", view("a", incarnation=0), DONE),
    ("reset", "is down and stays so", view("a", "stopped", goal="down"), DONE),
    ("reset", "starts now", view("a", "starting"), WAIT),
]
OTHERS = [
    view("starts", "starting", ready=False),
    view("failed", "failed", cause="exited", exit_code=1, ready=False),
    view("down", "stopped", goal="down", ready=False),
    view("ends", "stopping", goal="down", ready=False),
    view("is to end", goal="down"),
    view("stays", "stopping", goal="down", ready=False, stuck=True, lingering=["7 x (D)"]),
]


@pytest.mark.parametrize(("verb", "_what", "row", "expected"), CASES, ids=[f"{c[0]}: {c[1]}" for c in CASES])
def test_settled(verb: str, _what: str, row: Instance, expected: bool | str) -> None:
    rows = {r["name"]: r for r in (row, *OTHERS)}
    found = settled(verb, "a", rows, {"a": 0})
    if isinstance(expected, str):
        assert isinstance(found, Failure)
        assert expected in found
    else:
        assert found is expected


def test_what_is_configured_no_more_is_settled() -> None:
    assert settled("stop", "gone", {}, {}) is True


def test_circle_of_waiting_is_not_followed_for_ever() -> None:
    row = view("a", "starting", waiting_for="a")
    assert settled("start", "a", {"a": row}, {}) is False
