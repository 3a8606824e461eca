"""Orders on the pages of the web view, over the real HTTP server: what is taken, and what is refused."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from supervisor.adapters.control.routes import ControlRoutes
from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.http.messages import Peer
from supervisor.adapters.http.order_token import OrderToken
from supervisor.adapters.http.static_files import POLICY
from supervisor.daemon.web.view import WebView
from supervisor.errors import OperationFailed
from supervisor.web.attempts import BURST
from tests.doubles.fake_client import view
from tests.doubles.fake_daemon import StandIn
from tests.doubles.serving import Served, read_answer, serving

ROWS = [view("redis"), view("web@1", group="back"), view("web@2", group="back")]


class Shop(StandIn):
    def __init__(self, loop: EventLoop) -> None:
        super().__init__(loop, ROWS)
        self.kept: list[tuple[bool, Sequence[str], float | None, str, Peer | None]] = []
        self.steered: list[tuple[str, str]] = []

    def maintain(
        self, on: bool, services: Sequence[str], lasts: float | None, reason: str, peer: Peer | None = None
    ) -> list[str]:
        self.kept.append((on, services, lasts, reason, peer))
        return super().maintain(on, services, lasts, reason, peer)

    def act(self, verb: str, services: Sequence[str], **more: object) -> list[str]:
        if verb == "reset":
            raise OperationFailed("its breaker cannot be closed now", "Wait.")
        return super().act(verb, services, **more)  # type: ignore[arg-type]


class Desk:
    """Sends orders as a browser does, but for what a test changes."""

    def __init__(self, served: Served, daemon: Shop, token: str) -> None:
        self.served, self.daemon, self.token = served, daemon, token
        self.host = f"localhost:{served.port}"

    def send(
        self,
        body: str,
        method: str = "POST",
        path: str = "/web/order",
        source: str = "127.0.0.1",
        **headers: str | None,
    ) -> tuple[int, dict[str, str], str]:
        told: dict[str, str | None] = {
            "host": self.host,
            "origin": f"http://{self.host}",
            "sec-fetch-site": "same-origin",
            "sec-fetch-dest": "document",
            "content-type": "application/x-www-form-urlencoded",
            "content-length": str(len(body)),
        }
        told |= {name.replace("_", "-"): value for name, value in headers.items()}
        lines = [f"{name}: {value}" for name, value in told.items() if value is not None]
        with self.served.connect_tcp(source) as sock:
            sock.sendall("\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", body]).encode())
            status, found, answer = read_answer(sock)
        return status, found, answer.decode()

    def order(self, order: str, name: str, **fields: str) -> tuple[int, str]:
        """Its status, and its page."""
        form = {"order": order, "name": name, "token": self.token} | fields
        status, _, body = self.send(urlencode(form))
        return status, body

    @property
    def orders(self) -> list[tuple[str, bool, Peer | None]]:
        return self.daemon.orders


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made: list[Shop] = []
    file = tmp_path / "web.token"

    def make(loop: EventLoop) -> WebView:
        made.append(Shop(loop))
        return WebView("shop", made[0], ControlRoutes(made[0], loop), loop, OrderToken(str(tmp_path)))

    with serving(make, f"{tmp_path}/s") as served:
        yield Desk(served, made[0], file.read_text().strip())
        assert served.problems == []


def test_orders_are_given_and_answered_with_what_the_daemon_said(desk: Desk) -> None:
    status, body = desk.order("restart", "web")
    assert status == 202
    assert "It is for web@1, web@2." in body
    ((verb, _, peer),) = desk.orders
    assert verb == "restart"
    assert peer is not None
    assert (peer.pid, peer.uid) == (0, os.geteuid())
    assert peer.address.startswith("127.0.0.1:")
    assert desk.order("start", "web@2")[0] == 202
    assert desk.order("stop", "back", sure="yes")[0] == 202
    assert [verb for verb, _, _ in desk.orders] == ["restart", "start", "stop"]
    status, body = desk.order("reset", "redis")
    assert (status, "its breaker cannot be closed now Wait." in body) == (409, True)


def test_maintenance_and_rollouts(desk: Desk) -> None:
    assert desk.order("maintenance-on", "redis", minutes="1.5", reason=" new disk ")[0] == 202
    assert desk.order("maintenance-on", "redis", minutes="", reason="")[0] == 202
    assert desk.order("maintenance-off", "redis", minutes="x")[0] == 202
    assert [one[:4] for one in desk.daemon.kept] == [
        (True, ["redis"], 90.0, "new disk"),
        (True, ["redis"], None, ""),
        (False, ["redis"], None, ""),
    ]
    for wrong in ("x", "0", "0.5", "-1", "nan", "inf", "1e9", "1_0", "\u0663", "1e-320"):
        status, body = desk.order("maintenance-on", "redis", minutes=wrong)
        assert (status, "are a number from 1 to" in body) == (400, True), wrong
    assert len(desk.daemon.kept) == 3
    assert desk.order("pause", "web")[0] == 202
    assert desk.order("resume", "web")[0] == 202


def test_a_stop_is_asked_for_twice(desk: Desk) -> None:
    status, body = desk.order("stop", "redis")
    assert status == 400
    assert "Nothing was stopped: tick “Yes, stop redis” first" in body
    assert '<form method="post" action="/web/order"' in body
    assert desk.token not in body
    assert desk.orders == []


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({"origin": None}, "does not say from which page"),
        ({"origin": ""}, "does not say from which page"),
        ({"origin": "null"}, "another page than those of this daemon"),
        ({"origin": "http://evil.example"}, "another page than those of this daemon"),
        ({"origin": "http://localhost:1"}, "another page than those of this daemon"),
        ({"origin": "http://localhost"}, "another page than those of this daemon"),
        ({"host": "evil.example", "origin": "http://evil.example"}, "not a name"),
        ({"host": "192.0.2.1", "origin": "http://192.0.2.1"}, "at localhost or a loopback address"),
        ({"host": "", "origin": "http://"}, "at localhost or a loopback address"),
        ({"host": "[::2]", "origin": "http://[::2]"}, "at localhost or a loopback address"),
        ({"sec_fetch_site": "cross-site", "sec_fetch_dest": "empty"}, "Another site"),
    ],
)
def test_an_order_of_another_page_or_for_another_host_is_refused(
    desk: Desk, headers: dict[str, Any], says: str
) -> None:
    form = urlencode({"order": "restart", "name": "web", "token": desk.token})
    status, _, body = desk.send(form, **headers)
    assert (status, says in body) == (403, True), body
    assert desk.orders == []


@pytest.mark.parametrize("host", ["127.0.0.1:9", "127.8.8.8", "[::1]:9", "LOCALHOST"])
def test_the_port_of_a_tunnel_is_taken(desk: Desk, host: str) -> None:
    form = urlencode({"order": "restart", "name": "web", "token": desk.token})
    assert desk.send(form, host=host, origin=f"http://{host}".lower())[0] == 202


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_an_order_is_a_post(desk: Desk, method: str) -> None:
    form = urlencode({"order": "restart", "name": "web", "token": desk.token})
    with desk.served.connect_tcp() as sock:
        head = f"{method} /web/order?{form} HTTP/1.1\r\nhost: {desk.host}\r\norigin: http://{desk.host}\r\n\r\n"
        sock.sendall(head.encode())
        data = sock.recv(65536).decode().lower()
    assert data.startswith("http/1.1 405")
    assert "\r\nallow: post\r\n" in data
    assert desk.orders == []


@pytest.mark.parametrize(
    ("body", "headers", "status", "says"),
    [
        ("order=restart&name=web", {}, 403, "The order has no token"),
        ("order=restart&name=web&token=wrong", {}, 403, "The token is wrong"),
        ("{}", {"content_type": "application/json"}, 415, "An order is a form"),
        ("{}", {"content_type": "text/plain"}, 415, "An order is a form"),
        ("token=" + "x" * 5000, {}, 413, "at most 4096 bytes"),
        ("order=restart&order=stop&token=x", {}, 400, "each once"),
        ("order=restart&color=red", {}, 400, "each once"),
        ("order", {}, 400, "cannot be read"),
        ("order=%ff", {}, 400, "cannot be read"),
        ("&".join(["order=stop"] * 30), {}, 400, "cannot be read"),
    ],
)
def test_what_is_no_order_is_refused(desk: Desk, body: str, headers: dict[str, str], status: int, says: str) -> None:
    found, _, page = desk.send(body, **headers)
    assert (found, says in page) == (status, True), page
    assert desk.orders == []


@pytest.mark.parametrize(
    ("order", "name", "status"),
    [
        ("dance", "web", 400),
        ("", "web", 400),
        ("stop", "", 404),
        ("stop", "*", 404),
        ("stop", "all", 404),
        ("stop", "nothing", 404),
    ],
)
def test_an_order_names_what_it_is_for(desk: Desk, order: str, name: str, status: int) -> None:
    assert desk.order(order, name, sure="yes")[0] == status
    assert desk.orders == []


def test_wrong_tokens_are_limited_for_their_client_alone(desk: Desk) -> None:
    wrong = urlencode({"order": "restart", "name": "web", "token": "wrong"})
    right = urlencode({"order": "restart", "name": "web", "token": desk.token})
    assert [desk.send(wrong)[0] for _ in range(BURST)] == [403] * BURST
    status, headers, body = desk.send(right)
    assert (status, headers["retry-after"].isdigit()) == (429, True)
    assert "Too many wrong tokens" in body
    assert desk.send(right, source="127.0.0.2")[0] == 202
    assert desk.send("", "GET", "/")[0] == 200


def test_the_page_of_orders(desk: Desk) -> None:
    status, headers, body = desk.send("", "GET", "/order/web%402")
    assert status == 200
    assert headers["content-security-policy"] == POLICY.lower().replace("form-action 'none'", "form-action 'self'")
    assert headers["referrer-policy"] == "same-origin"  # no-referrer would send `Origin: null`
    assert headers["cache-control"] == "no-store"
    assert "web@2" in body and desk.token not in body
    assert desk.send("", "GET", "/order/back")[0] == 200
    for missing in ("/order/nothing", "/order/*", "/order/", "/order/a/b"):
        assert desk.send("", "GET", missing)[0] == 404
    assert 'href="/order/web%402"' in desk.send("", "GET", "/")[2]
    assert 'href="/order/web"' in desk.send("", "GET", "/service/web")[2]


def test_no_order_is_taken_where_that_is_off(tmp_path: Path) -> None:
    made: list[Shop] = []

    def make(loop: EventLoop) -> WebView:
        made.append(Shop(loop))
        return WebView("shop", made[0], ControlRoutes(made[0], loop), loop)

    with serving(make, f"{tmp_path}/s") as served:
        desk = Desk(served, made[0], "x" * 43)
        status, body = desk.order("restart", "web")
        assert (status, "takes no orders here" in body) == (403, True)
        assert desk.send("", "GET", "/order/web")[0] == 404
        assert "/order/" not in desk.send("", "GET", "/")[2]
        assert made[0].orders == []
