"""The web view over the real HTTP server: its pages, their headers, its stream, and what it refuses."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor.adapters.control.routes import ControlRoutes
from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.http.static_files import POLICY
from supervisor.adapters.ledger.store import EventQuery
from supervisor.core.model.documents import Event
from supervisor.core.model.evidence_documents import Evidence
from supervisor.daemon.web import view as web_view
from supervisor.daemon.web.view import MOST_STREAMS, WebView
from supervisor.errors import OperationFailed
from tests.doubles import fake_client
from tests.doubles.fake_client import view
from tests.doubles.fake_daemon import StandIn
from tests.doubles.serving import Served, read_all, read_answer, serving

ROWS = [view("redis"), view("web@1"), view("web@2", group="back"), view("worker@2", group="back")]


class Shop(StandIn):
    """A daemon whose second worker has hung."""

    asked_for_evidence = 0
    broken_log = False

    def evidence(self, event_id: int) -> Evidence | None:
        self.asked_for_evidence += 1
        return fake_client.EVIDENCE if event_id == 102 else None

    def logs(self, instance: str, **page: Any) -> Any:
        if self.broken_log:
            raise OSError("input/output error")
        return super().logs(instance, **page)


class Site:
    def __init__(self, served: Served, daemon: Shop, web: WebView) -> None:
        self.served, self.daemon, self.web = served, daemon, web

    def ask(self, target: str, *headers: str, method: str = "GET") -> tuple[int, dict[str, str], str]:
        with self.served.connect_tcp() as sock:
            lines = [f"{method} {target} HTTP/1.1", "host: localhost", "content-length: 0", *headers, "", ""]
            sock.sendall("\r\n".join(lines).encode())
            status, found, body = read_answer(sock)
        return status, found, body.decode()

    def stream(self, target: str = "/web/stream", *headers: str) -> socket.socket:
        sock = self.served.connect_tcp()
        sock.sendall("\r\n".join([f"GET {target} HTTP/1.1", "host: localhost", *headers, "", ""]).encode())
        return sock


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made: list[tuple[Shop, WebView]] = []

    def make(loop: EventLoop) -> WebView:
        daemon = Shop(loop, ROWS, events=fake_client.events())
        made.append((daemon, WebView("shop", daemon, ControlRoutes(daemon, loop), loop)))
        return made[0][1]

    with serving(make, f"{tmp_path}/s") as served:
        yield Site(served, *made[0])
        assert served.problems == []


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/", 200, "web@2"),
        ("/?utm=x", 200, "web@2"),
        ("/service/web", 200, "Definition"),
        ("/service/web%402", 200, "web@2"),
        ("/service/back", 200, "/incident/101"),
        ("/service/nothing", 404, "No such service"),
        ("/service/%ff", 400, "Bad request"),
        ("/incident/101", 200, "All that was captured"),
        ("/incident/103", 200, "All that was captured"),
        ("/incident/110", 404, "belongs to no incident"),
        ("/incident/99999", 404, "or its records have been removed since"),
        ("/incident/0", 404, "No such incident"),
        ("/incident/x", 404, "No such incident"),
        ("/incident/%D9%A3", 404, "No such incident"),
        ("/incident/" + "9" * 40, 404, "No such incident"),
        ("/hosts", 200, "0 of 1 host here"),
        ("/host/b", 200, "nothing is known of b"),
        ("/host/b%2Fc", 404, "No such host"),
        ("/web/style.css", 200, "prefers-color-scheme: dark"),
        ("/web/script.js", 200, "EventSource"),
        ("/web/stream?x=1", 400, "has no query parameter"),
        ("/web/stream?service=nothing", 404, "No such service"),
    ],
)
def test_every_answer_to_a_browser_forbids_what_it_does_not_need(site: Site, path: str, status: int, says: str) -> None:
    found, headers, body = site.ask(path)
    assert found == status
    assert says in body
    assert headers["content-security-policy"] == POLICY.lower()
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    kind = {"css": "text/css", ".js": "text/javascript"}.get(path[-3:], "text/html")
    assert headers["content-type"] == f"{kind}; charset=utf-8"


def test_the_last_failure_stands_beside_its_instance(site: Site) -> None:
    _, _, body = site.ask("/")
    assert 'href="/incident/113"' in body
    assert 'href="/incident/101"' not in body


def test_the_failures_of_a_service_are_listed_and_their_evidence_is_read_once(site: Site) -> None:
    for _ in range(2):
        _, _, body = site.ask("/service/worker")
        assert "hangs at" in body
        assert 'href="/incident/101"' in body
    assert site.daemon.asked_for_evidence == 1


def test_places_that_are_kept_are_limited(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_view, "MOST_PLACES", 1)
    site.web._places[7] = "hangs at a.py:1"
    site.ask("/service/worker")
    assert site.web._places.keys() == {102}


def test_an_incident_of_an_instance_that_is_gone_can_be_read(site: Site) -> None:
    site.served.call(lambda: site.daemon.rows.pop("worker@2"))
    status, _, body = site.ask("/incident/101")
    assert status == 200
    assert "worker@2 is no longer in the configuration" in body


def test_an_incident_has_the_last_output_where_it_can_be_read(site: Site) -> None:
    site.daemon.lines["web@3"] = [(None, "Error: <out of memory>")]
    site.served.call(lambda: site.daemon.rows.update({"web@3": view("web@3")}))
    assert "<li>Error: &lt;out of memory&gt;</li>" in site.ask("/incident/105")[2]
    site.daemon.broken_log = True
    status, _, body = site.ask("/incident/105")
    assert (status, "Its last output" in body) == (200, False)


def test_an_incident_whose_evidence_was_removed_can_be_read(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site.daemon, "evidence", lambda _number: None)
    status, _, body = site.ask("/incident/101")
    assert (status, "<pre" in body) == (200, False)
    assert "What was decided" in body


def test_a_daemon_without_a_cluster_has_no_hosts(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    assert 'href="/hosts"' in site.ask("/")[2]

    def none() -> None:
        raise OperationFailed("this daemon is in no cluster")

    monkeypatch.setattr(site.daemon, "cluster", none)
    assert 'href="/hosts"' not in site.ask("/")[2]
    for path in ("/hosts", "/host/b"):
        assert site.ask(path)[0] == 404


def test_nothing_can_be_changed(site: Site) -> None:
    for path in ("/", "/service/web", "/incident/101", "/web/stream", "/web/style.css"):
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            status, headers, _ = site.ask(path, method=method)
            assert (status, headers["allow"]) == (405, "get, head")
    assert site.ask("/v1/stop", method="POST")[0] == 403
    assert site.daemon.orders == []


def test_a_head_request_has_no_body(site: Site) -> None:
    with site.served.connect_tcp() as sock:
        sock.sendall(b"HEAD / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        answer = read_all(sock)
    assert answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"\r\n\r\n")


def test_the_api_answers_for_all_else_and_on_the_control_socket(site: Site) -> None:
    assert json.loads(site.ask("/healthz")[2]) == {"status": "ok"}
    assert site.ask("/web/other.js")[0] == site.ask("/service/")[0] == site.ask("/service/a/b")[0] == 404
    with site.served.connect() as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        status, headers, _ = read_answer(sock)
    assert (status, headers["content-type"]) == (404, "application/json")


def test_a_page_of_another_name_reads_nothing(site: Site) -> None:
    with site.served.connect_tcp() as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nhost: evil.example\r\n\r\n")
        assert read_answer(sock)[0] == 403


def test_the_stream_tells_what_changes(site: Site) -> None:
    with site.stream() as sock, sock.makefile("rb") as lines:
        assert b"200" in lines.readline()
        first = json.loads(next(line for line in lines if line.startswith(b'data: {"rows"')).removeprefix(b"data: "))
        assert set(first["rows"]) == {"", "redis", "web@", "web@1", "web@2", "worker@2"}
        assert site.web.streams == 1
        site.served.call(lambda: site.daemon._change("redis", "backoff", "exited", exit_code=3, ready=False))
        event = next(line for line in lines if line.startswith(b'data: {"id"'))
        assert b'"to":"backoff"' in event
        then = json.loads(next(line for line in lines if line.startswith(b'data: {"rows"')).removeprefix(b"data: "))
        assert then["rows"]["redis"]["why"].startswith("exited with code 3")
        assert "web@1" not in then["rows"]
    with site.stream("/web/stream?service=redis") as sock, sock.makefile("rb") as lines:
        only = json.loads(next(line for line in lines if line.startswith(b'data: {"rows"')).removeprefix(b"data: "))
        assert set(only["rows"]) == {"", "redis"}


@pytest.mark.parametrize(
    ("path", "said", "dest", "status"),
    [
        ("/web/stream", "cross-site", "empty", 403),
        ("/web/stream", "same-site", "empty", 403),
        ("/web/stream", "same-origin", "empty", 200),
        ("/", "cross-site", "iframe", 403),
        ("/", "cross-site", "image", 403),
        ("/web/script.js", "cross-site", "script", 403),
        ("/", "none", "document", 200),
        ("/incident/101", "cross-site", "document", 200),
    ],
)
def test_another_site_may_link_to_a_page_but_not_load_it(
    site: Site, path: str, said: str, dest: str, status: int
) -> None:
    with site.stream(path, f"sec-fetch-site: {said}", f"sec-fetch-dest: {dest}") as sock:
        assert sock.recv(12) == f"HTTP/1.1 {status}".encode()


def test_there_are_only_so_many_streams(site: Site) -> None:
    open_ones = [site.stream() for _ in range(MOST_STREAMS)]
    for sock in open_ones:
        assert sock.recv(12) == b"HTTP/1.1 200"
    with site.stream() as sock:
        assert read_answer(sock)[0] == 429
    for sock in open_ones:
        sock.close()


def test_a_page_that_cannot_be_made_says_so(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_services: Any, done: Any) -> None:
        done(OperationFailed("the status could not be made"))

    monkeypatch.setattr(site.daemon, "make_status", fail)
    assert "the status could not be made" in site.ask("/")[2]
    assert "the status could not be made" in site.ask("/incident/101")[2]
    monkeypatch.undo()

    def broken(_query: EventQuery) -> list[Event]:
        raise ValueError("no ledger")

    monkeypatch.setattr(site.daemon, "events", broken)
    status, _, body = site.ask("/")
    assert status == 500
    assert "log says why." in body
    site.served.settle()  # the error is told after the answer
    assert "no ledger" in site.served.problems.pop()
