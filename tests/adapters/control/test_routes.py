"""The control API over its real server: every route, every error, the stream, and the document that describes them."""

from __future__ import annotations

import json
import operator
import os
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from supervisor.adapters.control import event_stream as sse
from supervisor.adapters.control.call import encode, encoded_status
from supervisor.adapters.control.routes import MOST_STREAMS, RESERVED_STREAMS, ROUTES, ControlRoutes
from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.http.messages import Peer
from supervisor.adapters.http.routing import arguments, decoded, match
from supervisor.client import Client
from supervisor.errors import UsageError
from tests.doubles import fake_client
from tests.doubles.documented import DOCUMENT, check_answer
from tests.doubles.fake_daemon import StandIn
from tests.doubles.serving import Served, read_all, read_answer, serving

JSON = dict[str, Any]


class Home:
    """The server, and the daemon behind it."""

    def __init__(self, served: Served, daemon: StandIn) -> None:
        self.served = served
        self.daemon = daemon

    def ask(self, method: str, target: str, body: object = None, tcp: bool = False) -> tuple[int, JSON]:
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        head = (
            f"{method} {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {len(data)}\r\n\r\n"
        )
        with self.served.connect_tcp() if tcp else self.served.connect() as sock:
            sock.sendall(head.encode("latin-1") + data)
            status, headers, answer = read_answer(sock)
        assert headers["content-type"] == "application/json"
        check_answer(method, target, status, json.loads(answer))
        return status, json.loads(answer)

    def meaning(self, file: str | None, method: str, target: str) -> tuple[int, JSON]:
        """The answer to a client that says which file it means."""
        meant = "" if file is None else f"supervisor-file: {file}\r\n"
        head = f"{method} {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n{meant}\r\n"
        with self.served.connect() as sock:
            sock.sendall(head.encode())
            status, _, answer = read_answer(sock)
        return status, json.loads(answer)

    def error(self, method: str, target: str, body: object = None, tcp: bool = False) -> tuple[int, str, JSON]:
        status, answer = self.ask(method, target, body, tcp)
        error = answer["error"]
        assert sorted(error) == ["code", "hint", "known", "message"]
        return status, error["code"], error

    def stream(self, target: str, *headers: str) -> Events:
        sock = self.served.connect()
        sock.sendall("\r\n".join([f"GET {target} HTTP/1.1", "host: x", *headers, "", ""]).encode())
        return Events(sock)


class Events:
    """Server-sent events, read one by one."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._buffer = b""
        while b"\r\n\r\n" not in self._buffer:
            self._more()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        assert b"text/event-stream" in head

    def __enter__(self) -> Events:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def _more(self) -> None:
        data = self.sock.recv(65536)
        assert data, "the stream has ended"
        self._buffer += data

    def block(self) -> str:
        """The next event or comment, as it stands there."""
        while b"\n\n" not in self._buffer:
            self._more()
        block, _, self._buffer = self._buffer.partition(b"\n\n")
        return "\n".join(line for line in block.decode().split("\n") if not _is_framing(line))

    def next(self) -> tuple[str, int | None, JSON]:
        while (block := self.block()).startswith(":"):
            pass
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        return fields["event"], int(fields["id"]) if "id" in fields else None, json.loads(fields["data"])


def _is_framing(line: str) -> bool:
    """The size of a chunk, or the end of one."""
    return line.endswith("\r")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made: list[StandIn] = []

    def make(loop: EventLoop) -> ControlRoutes:
        lines: dict[str, list[tuple[float | None, str]]] = {"redis": [(float(n), f"line {n}") for n in range(20)]}
        made.append(StandIn(loop, fake_client.twelve(), events=fake_client.events(), lines=lines))
        return ControlRoutes(made[0], loop)

    with serving(make, f"{tmp_path}/s") as served:
        yield Home(served, made[0])
        assert not served.problems


# -- the routes ------------------------------------------------------------------------------------------------------


def test_status_of_all_and_of_some(home: Home) -> None:
    status, answer = home.ask("GET", "/v1/status")
    assert (status, len(answer["instances"])) == (200, 12)
    assert answer["supervisor"]["name"] == "shop"
    _, answer = home.ask("GET", "/v1/status?service=web&service=worker%401")
    assert [row["name"] for row in answer["instances"]] == ["web@1", "web@2", "web@3", "worker@1"]


def test_services_and_instance(home: Home) -> None:
    assert [s["name"] for s in home.ask("GET", "/v1/services")[1]["services"]][:3] == ["migrate", "redis", "web"]
    status, answer = home.ask("GET", "/v1/instances/web@2")
    assert (status, answer["name"], answer["depends_on"]) == (200, "web@2", ["redis"])


def test_the_breaker_of_a_service(home: Home) -> None:
    status, answer = home.ask("GET", "/v1/services/web/breaker")
    assert (status, answer["service"], answer["state"]) == (200, "web", "closed")
    status, code, error = home.error("GET", "/v1/services/wbe/breaker")
    assert (status, code) == (404, "no-such-service")
    assert "web" in error["known"]


@pytest.mark.parametrize("verb", ["start", "stop", "restart", "reset"])
def test_acting_names_who_is_affected(home: Home, verb: str) -> None:
    assert home.ask("POST", f"/v1/{verb}", {"services": ["web@2", "front"]}) == (
        202,
        {"instances": ["web@1", "web@2", "web@3"]},
    )


def test_null_is_not_everybody(home: Home) -> None:
    status, code, error = home.error("POST", "/v1/stop", {"services": None})
    assert (status, code) == (400, "usage")
    assert "services is null" in error["message"]


def test_acting_without_names_is_for_all(home: Home) -> None:
    assert len(home.ask("POST", "/v1/stop", {})[1]["instances"]) == 12
    assert len(home.ask("POST", "/v1/start")[1]["instances"]) == 12


@pytest.mark.parametrize(
    ("body", "insists"),
    [
        ({}, False),
        ({"signal": "HUP"}, True),
        ({"signal": "HUP", "insist": False}, False),
        ({"insist": True}, True),
    ],
)
def test_a_signal_that_is_named_is_insisted_on_unless_told_otherwise(home: Home, body: JSON, insists: bool) -> None:
    assert home.ask("POST", "/v1/signal", {"services": ["redis"], **body})[0] == 202
    assert [insist for verb, insist, _ in home.daemon.orders if verb == "signal"] == [insists]


@pytest.mark.parametrize("route", ["start", "stop", "restart", "reset", "signal", "scale", "reload", "upgrade", "down"])
def test_the_daemon_learns_from_the_kernel_who_gives_an_order(home: Home, route: str) -> None:
    home.ask("POST", f"/v1/{route}", {})
    assert home.daemon.peers == [Peer(os.getpid(), os.geteuid())]


def test_signal(home: Home) -> None:
    assert home.ask("POST", "/v1/signal", {"services": ["redis"], "signal": "HUP"}) == (202, {"instances": ["redis"]})
    assert home.error("POST", "/v1/signal", {"services": ["redis"], "signal": "WRONG"})[:2] == (400, "usage")


def test_a_reload_signal_is_answered_when_its_check_is_done(home: Home) -> None:
    home.daemon.broken.add("redis")
    status, code, error = home.error("POST", "/v1/signal", {"services": ["redis"]})
    assert (status, code, error["hint"]) == (409, "failed", "--no-check sends it.")
    body = {"services": ["redis"], "check": False}
    assert home.ask("POST", "/v1/signal", body) == (202, {"instances": ["redis"]})


def test_reload_answers_when_it_is_done(home: Home) -> None:
    assert home.ask("POST", "/v1/reload", {"dry_run": True})[1]["applied"] is False
    assert home.ask("POST", "/v1/reload", {})[1]["applied"] is True
    home.daemon.broken.add("reload")
    status, code, error = home.error("POST", "/v1/reload", {})
    assert (status, code) == (422, "config")
    assert error["message"].startswith("services.toml:3:")
    assert error["hint"] == "did you mean command?"


def test_events_by_service_time_and_id(home: Home) -> None:
    def ids(query: str) -> list[int]:
        return [e["id"] for e in home.ask("GET", f"/v1/events{query}")[1]["events"]]

    assert ids("") == list(range(101, 114))
    assert ids("?limit=2") == [112, 113]
    assert ids("?after=104&limit=2") == [105, 106]
    assert ids("?before=104&limit=2") == [102, 103]
    assert ids("?service=web&service=mailer") == [105, 106, 112]
    at = home.daemon.ledger[7]["at"]
    assert ids(f"?since={at}") == list(range(108, 114))
    assert ids(f"?since={at.replace('Z', '+00:00')}") == list(range(108, 114))
    assert ids("?since=4102444800") == []


def test_evidence(home: Home) -> None:
    assert home.ask("GET", "/v1/evidence/102")[1] == fake_client.EVIDENCE
    assert home.error("GET", "/v1/evidence/103")[:2] == (404, "no-evidence")
    assert home.error("GET", "/v1/evidence/x")[:2] == (400, "usage")


def test_logs(home: Home) -> None:
    _, page = home.ask("GET", "/v1/logs/redis?lines=3")
    assert [line["text"] for line in page["lines"]] == ["line 17", "line 18", "line 19"]
    assert home.ask("GET", f"/v1/logs/redis?after={page['first']}")[1]["lines"] == page["lines"]
    assert home.error("GET", "/v1/logs/redis?after=nonsense")[:2] == (400, "usage")
    assert home.ask("GET", "/v1/logs/redis?lines=3&stream=stdout")[1] == page
    assert home.ask("GET", "/v1/logs/redis?stream=stderr")[1]["lines"] == []
    assert home.error("GET", "/v1/logs/redis?stream=both")[:2] == (400, "usage")
    assert home.error("GET", "/v1/logs/nobody")[:2] == (404, "no-such-service")


def test_metrics_say_their_format(home: Home) -> None:
    with home.served.connect() as sock:
        sock.sendall(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")
        _, headers, body = read_answer(sock)
    assert headers["content-type"].startswith("text/plain; version=0.0.4")
    assert body == b"# TYPE up gauge\nup 1\n"


def test_metrics_that_cannot_be_made_are_an_error(home: Home) -> None:
    home.daemon.measures = False
    status, answer = home.meaning(None, "GET", "/metrics")
    assert (status, answer["error"]["code"]) == (500, "internal")


def test_a_status_is_written_row_by_row_and_is_the_same_text(home: Home) -> None:
    status = home.daemon.status(())
    steps, work = 0, encoded_status(status)
    with pytest.raises(StopIteration) as end:
        while True:
            next(work)
            steps += 1
    assert (steps, end.value.value) == (len(status["instances"]), encode(status))


def test_a_status_that_cannot_be_written_is_an_error(home: Home) -> None:
    home.served.call(partial(operator.setitem, home.daemon.rows["mailer"], (1, 2), "no key of JSON"))
    status, answer = home.meaning(None, "GET", "/v1/status")
    assert (status, answer["error"]["code"]) == (500, "internal")
    home.served.settle()  # the error is told after the answer
    assert "keys must be str" in home.served.problems.pop()


def test_health_and_readiness(home: Home) -> None:
    assert home.ask("GET", "/healthz")[0] == 200
    status, answer = home.ask("GET", "/readyz")
    assert status == 503
    assert answer["waiting_for"] == ["worker@2", "mailer", "importer", "maintenance-page"]
    for name in answer["waiting_for"]:
        home.served.call(partial(operator.setitem, home.daemon.rows[name], "ready", True))
    assert home.ask("GET", "/readyz") == (200, {"status": "ok", "waiting_for": []})


def test_down(home: Home) -> None:
    ended: list[int] = []
    home.daemon.ended = lambda: ended.append(1)
    assert home.ask("POST", "/v1/down") == (202, {})
    assert home.daemon.closing


# -- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "target", "body", "status", "code"),
    [
        ("GET", "/", None, 404, "no-such-route"),
        ("GET", "/v1/instances/", None, 404, "no-such-route"),
        ("GET", "/v1/instances/a/b", None, 404, "no-such-route"),
        ("POST", "/v1/status", {}, 405, "method-not-allowed"),
        ("DELETE", "/v1/start", None, 405, "method-not-allowed"),
        ("GET", "/v1/instances/nobody", None, 404, "no-such-service"),
        ("GET", "/v1/status?service=nobody", None, 404, "no-such-service"),
        ("POST", "/v1/start", {"services": ["nobody"]}, 404, "no-such-service"),
        ("GET", "/v1/stream?service=nobody", None, 404, "no-such-service"),
        ("GET", "/v1/status?servce=web", None, 400, "usage"),
        ("GET", "/v1/status?service=%ff", None, 400, "usage"),
        ("GET", "/v1/status?service=%zz", None, 400, "usage"),
        ("GET", "/v1/status?service=a%00b", None, 400, "usage"),
        ("GET", "/v1/instances/%ff", None, 400, "usage"),
        ("GET", "/v1/events?limit=0", None, 400, "usage"),
        ("GET", "/v1/events?limit=1001", None, 400, "usage"),
        ("GET", "/v1/events?limit=many", None, 400, "usage"),
        ("GET", "/v1/events?after=" + "9" * 5000, None, 400, "usage"),
        ("GET", "/v1/events?since=yesterday", None, 400, "usage"),
        ("GET", "/v1/events?since=nan", None, 400, "usage"),
        ("GET", "/v1/events?since=1e300", None, 400, "usage"),
        ("GET", "/v1/stream?topics=gossip", None, 400, "usage"),
        ("GET", "/v1/stream?topics=", None, 400, "usage"),
        ("GET", "/v1/stream?interval=0.1", None, 400, "usage"),
        ("GET", "/v1/stream?interval=nan", None, 400, "usage"),
        ("POST", "/v1/start", b"{", 400, "usage"),
        ("POST", "/v1/start", b"\xff", 400, "usage"),
        ("POST", "/v1/start", b"[" * 100_000, 400, "usage"),
        ("POST", "/v1/start", [], 400, "usage"),
        ("POST", "/v1/start", {"services": "web"}, 400, "usage"),
        ("POST", "/v1/start", {"services": [1]}, 400, "usage"),
        ("POST", "/v1/start", {"sevices": []}, 400, "usage"),
        ("POST", "/v1/reload", {"dry_run": "yes"}, 400, "usage"),
        ("POST", "/v1/signal", {"services": [], "signal": 1.5}, 400, "usage"),
    ],
)
def test_error(home: Home, method: str, target: str, body: object, status: int, code: str) -> None:
    assert home.error(method, target, body)[:2] == (status, code)


def test_error_suggests_names(home: Home) -> None:
    assert "web@1" in home.error("POST", "/v1/stop", {"services": ["redis", "web@11"]})[2]["known"]
    assert home.error("GET", "/v1/instances/rdis")[2]["known"] == ["redis"]
    assert "front" in home.error("GET", "/v1/status?service=fron")[2]["known"]


def test_method_not_allowed_says_which_is(home: Home) -> None:
    with home.served.connect() as sock:
        sock.sendall(b"PUT /v1/start HTTP/1.1\r\nhost: x\r\n\r\n")
        assert read_answer(sock)[1]["allow"] == "post"


# -- the cluster -----------------------------------------------------------------------------------------------------


def test_an_order_of_the_cluster_is_taken_and_its_outcome_told(home: Home) -> None:
    assert home.ask("GET", "/v1/cluster") == (200, {"age_s": None, "word": None})
    move = {"verb": "move", "node": "b", "service": "web", "slot": 2}
    assert home.ask("POST", "/v1/cluster/orders", move) == (202, {"id": "1"})
    assert home.ask("POST", "/v1/cluster/orders", {"verb": "drain", "node": "b"}) == (202, {"id": "2"})
    assert home.daemon.in_cluster.orders == [move, {"verb": "drain", "node": "b"}]
    assert home.ask("GET", "/v1/cluster/orders/1") == (200, {"outcome": {"id": "1", "done": True, "error": ""}})
    assert home.ask("GET", "/v1/cluster/orders/2") == (200, {"outcome": None})


@pytest.mark.parametrize(
    "order", [{}, {"verb": "dance", "node": "b"}, {"verb": "drain"}, {"verb": "move", "node": "b"},
              {"verb": "drain", "node": "b", "service": "web"}],
)  # fmt: skip
def test_an_order_of_the_cluster_that_makes_no_sense_is_refused(home: Home, order: JSON) -> None:
    status, code, _ = home.error("POST", "/v1/cluster/orders", order)
    assert (status, code) == (400, "usage") and home.daemon.in_cluster.orders == []


def test_the_hosts_of_the_cluster_are_told_and_one_with_its_record(home: Home) -> None:
    status, found = home.ask("GET", "/v1/cluster/hosts")
    assert (status, [one["node"] for one in found["hosts"]]) == (200, ["a"])
    status, found = home.ask("GET", "/v1/cluster/hosts/b-2")
    assert (status, found["node"], found["record"]) == (200, "b-2", None)
    assert home.error("GET", "/v1/cluster/hosts/..%2Fslots")[:2] == (400, "usage")


def test_a_push_is_taken(home: Home) -> None:
    push = {"text": "x", "max_unavailable": "25%", "timeout": 60.0}
    assert home.ask("POST", "/v1/cluster/pushes", push) == (202, {"id": "p1"})
    assert home.ask("POST", "/v1/cluster/pushes", {"undo": True}) == (202, {"id": "p2"})
    assert home.ask("POST", "/v1/cluster/pushes", {"undo": True, "takes_back": 7}) == (202, {"id": "p3"})
    undo = {"text": "", "max_unavailable": "1", "timeout": 600.0, "undo": True, "takes_back": 0}
    assert home.daemon.in_cluster.pushes == [
        {**push, "undo": False, "takes_back": 0}, undo, {**undo, "takes_back": 7},
    ]  # fmt: skip


@pytest.mark.parametrize(
    "push",
    [
        {}, {"text": "x", "takes_back": 7}, {"undo": True, "takes_back": -1},
        {"text": "x", "undo": True}, {"text": "x", "max_unavailable": "half"},
        {"text": "x", "max_unavailable": "9" * 5000}, {"text": "x", "timeout": -5.0}, {"text": "x", "timeout": 1e300},
        {"text": "x" * 300_000}, {"text": "\x01" * 60_000}, {"text": "\ud800"},
    ],
)  # fmt: skip
def test_a_push_that_makes_no_sense_is_refused(home: Home, push: JSON) -> None:
    status, code, _ = home.error("POST", "/v1/cluster/pushes", push)
    assert (status, code) == (400, "usage") and home.daemon.in_cluster.pushes == []


def test_a_number_that_is_too_small_is_refused_where_there_is_no_largest(home: Home) -> None:
    order = {"verb": "move", "node": "b", "service": "web", "slot": -1}
    status, code, error = home.error("POST", "/v1/cluster/orders", order)
    assert (status, code, error["message"]) == (400, "usage", "slot must be at least 0, not -1")


# -- TCP -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", ROUTES, ids=lambda r: f"{r.method} {r.path}")
def test_tcp_serves_the_safe_subset(home: Home, route: Any) -> None:
    private = (
        "/v1/logs", "/v1/evidence", "/v1/instances", "/v1/stream", "/v1/cluster/orders", "/v1/cluster/pushes",
        "/v1/cluster/hosts/",
    )  # fmt: skip
    assert route.tcp is (route.method == "GET" and not route.path.startswith(private))
    target = route.path.replace("{name}", "redis").replace("{id}", "102")
    with home.served.connect_tcp() as sock:
        sock.sendall(f"{route.method} {target} HTTP/1.1\r\nhost: [::1]:80\r\nconnection: close\r\n\r\n".encode())
        answer = read_all(sock)
    if route.tcp:
        assert answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 503"))
    else:
        assert answer.startswith(b"HTTP/1.1 403")
        assert b'"forbidden"' in answer
    assert not home.daemon.closing


# -- the stream ------------------------------------------------------------------------------------------------------


def test_stream_begins_with_a_status_and_brings_events(home: Home) -> None:
    with home.stream("/v1/stream?topics=events,status&interval=60") as events:
        kind, number, status = events.next()
        assert (kind, number, len(status["instances"])) == ("status", None, 12)
        home.ask("POST", "/v1/start", {"services": ["mailer"]})
        kind, number, event = events.next()
        assert (kind, number, event["to"]) == ("event", 114, "starting")


def test_who_takes_changes_gets_the_whole_status_only_where_it_must(home: Home) -> None:
    with home.stream("/v1/stream?topics=status&interval=60", "supervisor-changes: yes") as events:
        kind, _, whole = events.next()
        assert (kind, len(whole["instances"])) == ("status", 12)
        home.ask("POST", "/v1/start", {"services": ["mailer"]})
        state = "stopped"
        while state != "running":  # both changes, or the second one alone
            kind, _, changes = events.next()
            assert kind == "changes" and changes["supervisor"] == whole["supervisor"]
            (row,) = changes["instances"]
            assert row["name"] == "mailer"
            state = row["state"]
        (subscriber,) = home.daemon.subscribers
        fewer: Any = home.daemon.status()
        fewer["instances"].pop()
        home.served.call(lambda: subscriber.on_status(fewer))
        kind, _, whole = events.next()
        assert (kind, len(whole["instances"])) == ("status", 11)
        home.served.call(lambda: subscriber.on_status(fewer))
        assert events.next()[2]["instances"] == []
        assert subscriber.on_part is not None
        gone = fake_client.status([*home.daemon.status()["instances"][-1:]])
        part = fake_client.status([fewer["instances"][0] | {"state": "failed"}])
        taken: list[bool] = []
        home.served.call(lambda: taken.extend((subscriber.on_part(gone), subscriber.on_part(part))))  # type: ignore[misc]
        kind, _, changes = events.next()
        assert kind == "changes" and changes["instances"] == part["instances"], "not that of which it knows nothing"
        assert taken == [False, True]
        home.served.call(lambda: subscriber.on_status(fewer))
        assert events.next()[2]["instances"] == fewer["instances"][:1], "compared with the part"
        home.served.call(lambda: (subscriber.on_status(fewer), taken.append(subscriber.on_part(part))))  # type: ignore[misc]
        assert events.next()[2]["instances"] == [] and taken[-1] is False, "a status was on its way"


def test_the_client_yields_whole_statuses(home: Home, tmp_path: Path) -> None:
    with Client(f"{tmp_path}/s").stream(["status"], interval=60.0) as stream:
        kind, status = next(stream)
        home.ask("POST", "/v1/start", {"services": ["mailer"]})
        states = {row["name"]: row["state"] for row in status["instances"]}  # type: ignore[typeddict-item]
        told = states
        while told["mailer"] != "running":
            kind, after = next(stream)
            assert kind == "status"
            told = {row["name"]: row["state"] for row in after["instances"]}  # type: ignore[typeddict-item]
            assert told == states | {"mailer": told["mailer"]} and len(told) == 12


def test_stream_of_one_service(home: Home) -> None:
    with home.stream("/v1/stream?topics=events&service=mailer") as events:
        assert events.block() == ": hello"
        home.ask("POST", "/v1/start", {"services": ["debug-shell"]})
        home.ask("POST", "/v1/start", {"services": ["mailer"]})
        assert events.next()[2]["instance"] == "mailer"


def test_stream_of_logs(home: Home) -> None:
    with home.stream("/v1/stream?topics=logs") as events:
        events.block()
        home.served.call(lambda: home.daemon.say("redis", "ready to accept\nconnections"))
        kind, _, log = events.next()
        assert (kind, log["instance"], log["lines"]) == ("log", "redis", ["ready to accept\nconnections"])


def test_stream_resumes_after_the_last_event(home: Home) -> None:
    with home.stream("/v1/stream?topics=events", "Last-Event-ID: 110") as events:
        assert [events.next()[1] for _ in range(3)] == [111, 112, 113]
        home.ask("POST", "/v1/start", {"services": ["mailer"]})
        assert events.next()[1] == 114


def test_stream_resumes_over_many_pages_without_a_gap(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "PAGE", 50)
    more = [fake_client.event(n, "redis", "running", "running", "ready") for n in range(114, 1000)]
    home.served.call(lambda: home.daemon.ledger.extend(more))
    with home.stream("/v1/stream?topics=events", "Last-Event-ID: 0") as events:
        assert [events.next()[1] for _ in range(899)] == list(range(101, 1000))


@pytest.mark.parametrize("number", [b"tea", b"-1", b"9223372036854775807", b"9" * 5000])
def test_last_event_id_must_be_one(home: Home, number: bytes) -> None:
    with home.served.connect() as sock:
        sock.sendall(b"GET /v1/stream HTTP/1.1\r\nhost: x\r\nlast-event-id: " + number + b"\r\n\r\n")
        assert read_answer(sock)[0] == 400


@pytest.mark.parametrize("query", ["", "?topics=events", "?topics=logs"])
def test_who_asks_for_the_head_of_a_stream_gets_that(home: Home, query: str) -> None:
    for _ in range(MOST_STREAMS + 1):
        with home.served.connect() as sock:
            sock.sendall(f"HEAD /v1/stream{query} HTTP/1.1\r\nhost: x\r\nlast-event-id: 110\r\n\r\n".encode())
            head = b"".join(iter(lambda: sock.recv(65536), b""))
        assert head.startswith(b"HTTP/1.1 200")
        assert head.endswith(b"\r\n\r\n")
    home.served.settle()
    assert not home.daemon.subscribers


def test_stream_without_status_pings(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "PING_SECONDS", 0.02)
    with home.stream("/v1/stream?topics=events") as events:
        assert [events.block() for _ in range(3)] == [": hello", ": ping", ": ping"]


def test_a_stream_of_rare_statuses_pings_as_well(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a client would take an hour of silence for a daemon that has gone."""
    monkeypatch.setattr(sse, "PING_SECONDS", 0.02)
    with home.stream("/v1/stream?topics=status&interval=3600") as events:
        assert events.block() == ": hello"
        assert events.next()[0] == "status"  # written over several turns of the loop: a ping may come first
        assert [events.block() for _ in range(2)] == [": ping", ": ping"]


def test_client_that_leaves_is_watched_for_no_longer(home: Home) -> None:
    with home.stream("/v1/stream") as events:
        events.next()
        assert len(home.daemon.subscribers) == 1
    home.served.settle()
    assert not home.daemon.subscribers


def test_slow_reader_gets_fewer_statuses_and_is_not_cut(home: Home) -> None:
    with home.stream("/v1/stream?topics=status&interval=60") as events:  # none comes but those of the test
        events.next()
        (subscriber,) = home.daemon.subscribers
        status: Any = home.daemon.status()
        for n in range(2000):
            numbered = status | {"supervisor": status["supervisor"] | {"serial": n}}
            home.served.call(partial(subscriber.on_status, numbered))
            if n % 100 == 0:
                home.served.settle()
        serials = [events.next()[2]["supervisor"]["serial"]]
        while serials[-1] < 1999:
            serials.append(events.next()[2]["supervisor"]["serial"])
        assert 10 < len(serials) < 200


def test_an_event_does_not_wait_for_the_status_of_many_instances(home: Home) -> None:
    """The rows of a status are encoded a slice in each turn of the loop, also for a stream."""
    with home.stream("/v1/stream?interval=60") as events:
        assert events.next()[0] == "status"
        (subscriber,) = home.daemon.subscribers
        status, event = home.daemon.status(), home.daemon.ledger[0]
        home.served.call(lambda: (subscriber.on_status(status), subscriber.on_event(event)))
        assert [events.next()[0] for _ in range(2)] == ["event", "status"]


def test_after_a_status_that_cannot_be_written_the_stream_goes_on(home: Home) -> None:
    with home.stream("/v1/stream?topics=status&interval=3600") as events:
        assert "serial" not in events.next()[2]
        (subscriber,) = home.daemon.subscribers
        for serial in ((1, 2), 3):
            status: Any = home.daemon.status() | {"supervisor": {"serial": 3, serial: "no key of JSON"}}
            home.served.call(partial(subscriber.on_status, status))
        assert events.next()[2]["supervisor"]["serial"] == 3
        home.served.settle()
        assert "keys must be str" in home.served.problems.pop()


def test_reader_that_misses_events_is_told(home: Home) -> None:
    with home.stream("/v1/stream?topics=events") as events:
        events.block()
        home.served.settle()
        (subscriber,) = home.daemon.subscribers
        event = home.daemon.ledger[0] | {"detail": {"padding": "x" * 10_000}}
        home.served.call(lambda: [subscriber.on_event(event) for _ in range(200)])
        kinds = [events.next()[0]]
        while kinds[-1] != "lagged":
            kinds.append(events.next()[0])
        assert len(kinds) < 150
        home.served.settle()
        assert not home.daemon.subscribers


@pytest.mark.parametrize(
    ("deadline", "status", "done"), [("0", 409, False), ("1e12", 202, True), ("soon", 400, False), ("nan", 400, False)]
)
def test_an_order_is_not_carried_out_after_its_deadline(home: Home, deadline: str, status: int, done: bool) -> None:
    with home.served.connect() as sock:
        head = f"POST /v1/down HTTP/1.1\r\nhost: x\r\nsupervisor-deadline: {deadline}\r\ncontent-length: 0\r\n\r\n"
        sock.sendall(head.encode())
        assert read_answer(sock)[0] == status
    assert home.daemon.closing is done


def test_streams_are_counted(home: Home) -> None:
    streams = [home.stream("/v1/stream?topics=events") for _ in range(MOST_STREAMS)]
    assert home.error("GET", "/v1/stream")[:2] == (429, "too-many-streams")
    waiting = [home.stream("/v1/stream", "supervisor-purpose: order") for _ in range(RESERVED_STREAMS)]
    assert home.error("GET", "/v1/stream")[:2] == (429, "too-many-streams")
    assert home.ask("POST", "/v1/start", {"services": ["redis"]})[0] == 202, "followers leave places for orders"
    assert [s.for_order for s in home.daemon.subscribers] == [False] * MOST_STREAMS + [True] * RESERVED_STREAMS
    for stream in (*streams, *waiting):
        stream.sock.close()
    home.served.settle()
    with home.stream("/v1/stream?topics=events") as events:
        assert events.block() == ": hello"


# -- the document ----------------------------------------------------------------------------------------------------


def test_document_covers_every_route(home: Home) -> None:
    _, openapi = home.ask("GET", "/openapi.json")
    assert openapi["openapi"].startswith("3.1")
    found = {(m.upper(), path) for path, item in openapi["paths"].items() for m in item}
    assert found == {(r.method, r.path) for r in ROUTES}
    names = [operation["operationId"] for item in openapi["paths"].values() for operation in item.values()]
    assert len(set(names)) == len(names)


def test_document_refers_only_to_schemas_that_it_has() -> None:
    text = json.dumps(DOCUMENT)
    referred = {part.partition('"')[0] for part in text.split('"#/components/schemas/')[1:]}
    assert referred <= set(DOCUMENT["components"]["schemas"])
    assert {r.shape for r in ROUTES} <= set(DOCUMENT["components"]["schemas"])


def test_document_describes_every_parameter() -> None:
    paths = DOCUMENT["paths"]
    for route in ROUTES:
        operation = paths[route.path][route.method.lower()]
        described = {p["name"] for p in operation.get("parameters", ()) if p["in"] != "header"}
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
        assert described | set(body.get("properties", {})) == {p.name for p in route.params}
        assert {f"{{{p.name}}}" in route.path for p in route.params if p.place == "path"} <= {True}


# -- routing alone ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "plain"),
    [("a", "a"), ("a%20b", "a b"), ("%C3%A9", "é"), ("web%402", "web@2"), ("100%25", "100%")],
)
def test_percent_decoding(text: str, plain: str) -> None:
    assert decoded(text) == plain


@pytest.mark.parametrize("text", ["%", "%f", "%zz", "a%", "%ff", "%+1"])
def test_what_is_not_percent_encoded(text: str) -> None:
    with pytest.raises(UsageError):
        decoded(text)


def test_plus_is_a_space_in_a_query_and_a_plus_in_a_path() -> None:
    ((route, args),) = match(ROUTES, "/v1/logs/a+b")
    assert args == {"name": "a+b"}
    assert arguments(route, args, "before=a+b", b"")["before"] == "a b"


@pytest.mark.parametrize("file", ["/srv/shop/services.toml", "%2Fsrv%2Fshop/services.toml", None])
def test_a_client_that_means_this_file_is_served(home: Home, file: str | None) -> None:
    assert home.meaning(file, "GET", "/v1/status")[0] == 200


@pytest.mark.parametrize("route", [r for r in ROUTES if "{" not in r.path], ids=lambda r: f"{r.method} {r.path}")
def test_a_client_that_means_another_file_gets_nothing_done(home: Home, route: Any) -> None:
    status, answer = home.meaning("/srv/d%C3%A9p%0Aot/services.toml", route.method, route.path)
    assert status == 421
    assert answer["error"]["code"] == "other-file"
    assert answer["error"]["message"] == "this daemon runs /srv/shop/services.toml, not /srv/dép\not/services.toml"
    assert "--socket" in answer["error"]["hint"]
    assert not home.daemon.closing
