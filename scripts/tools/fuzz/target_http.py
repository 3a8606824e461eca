"""Fuzzes the control API: any bytes on a new connection, over the Unix socket or over TCP, in one or several pieces.

The server, the router and the API are the real ones; behind them stands fakehouse.py. Every answer must be one that the
protocol and the API define, every connection must end, and no order may arrive that was not requested by its route;
over TCP none at all.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import struct
import tempfile
from contextlib import suppress
from random import Random
from urllib.parse import quote
from zlib import crc32

from scripts.tools.fuzz.campaign import Wrong
from scripts.tools.fuzz.fakehouse import House
from scripts.tools.fuzz.mutation import NUMBERS, TEXTS, pick, spoil, text
from supervisor.adapters.control.routes import ROUTES, ControlRoutes
from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.http.routing import Param, Route
from supervisor.adapters.http.server import HttpServer

STATUSES = frozenset((100, 200, 202, 400, 401, 403, 404, 405, 409, 413, 422, 429, 431, 501, 503, 505))
METHODS = ("GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "get", "G\u00cbT", "")
NAMES = ("web", "web@1", "web@2", "db", "front", "nobody")
HEADERS = (
    *("Host: evil.example", "Host:", "Host: a\r\nHost: b", "Connection: close", "Connection: keep-alive, Upgrade"),
    *("Transfer-Encoding: chunked", "Transfer-Encoding: gzip, chunked", "Content-Length: 5", "Content-Length: 0, 0"),
    *("Content-Length: -1", "Content-Length: 99999999999999999999", "Expect: 100-continue", "Upgrade: websocket"),
    *("Last-Event-ID: 5", "Last-Event-ID: x", "Authorization: Bearer x", "Origin: http://evil", "Cookie: a=b", ": x"),
    *("X-Long: " + "x" * 20_000, " folded: line", "Accept: */*", "X: \x00", "Content-Type: text/plain"),
)
CORPUS = (
    b"GET /v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /metrics HTTP/1.0\r\n\r\n",
    b"GET /v1/stream?topics=events,logs&interval=0.5 HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: 3\r\n\r\n",
    b'POST /v1/stop HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n\r\n{"services":["web"]}',
    b'POST /v1/signal HTTP/1.1\r\nHost: localhost\r\nContent-Length: 32\r\n\r\n{"services":["db"],"signal":"1"}',
    b"POST /v1/start HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    b'5\r\n{"ser\r\nf\r\nvices":["web"]}\r\n0\r\n\r\n',
    b"GET /v1/logs/db?lines=3&before=0:99 HTTP/1.1\r\nHost: localhost\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET http://supervisor/v1/events?limit=5&since=2026-01-31T12:00:00Z HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
)
_STATUS_LINE = re.compile(rb"HTTP/1\.1 (\d{3}) [^\r\n]*\r\n")
_NOW = struct.pack("ii", 1, 0)
MOST_TURNS = 20_000


class HttpTarget:
    """See campaign.Target."""

    def __init__(self) -> None:
        self._place = tempfile.mkdtemp(prefix="fuzz-")
        self._path = f"{self._place}/s"
        self._loop = EventLoop()
        self._problems: list[str] = []
        self._house = House(self._place)
        self._api = ControlRoutes(self._house, self._loop)
        self._server = HttpServer(self._loop, self._api, self._problems.append)
        self._server.listen_unix(self._path)
        self._port = self._server.listen_tcp("127.0.0.1", 0)

    def make(self, rng: Random) -> bytes:
        if rng.random() < 0.2:
            return spoil(rng, pick(rng, CORPUS), CORPUS)
        requests = [_request(rng) for _ in range(1 if rng.random() < 0.8 else 1 + int(rng.random() * 4))]
        data = b"".join(requests)
        return spoil(rng, data, CORPUS) if rng.random() < 0.3 else data

    def run(self, data: bytes) -> str:
        key = crc32(data)
        house, local = self._house, key % 4 != 0
        house.orders.clear()
        house.private.clear()
        answer = self._converse(data, key, local)
        if self._problems or house.problems:
            problems = [*self._problems, *house.problems]
            self._problems.clear()
            house.problems.clear()
            raise Wrong("; ".join(problems))
        if house.watching or self._api.streams:
            raise Wrong(f"{house.watching} watchers and {self._api.streams} streams are left over")
        self._judge_orders(data, local)
        return _judge_answers(answer)

    def close(self) -> None:
        self._server.close()
        self._loop.close()
        self._house.ledger.close()
        shutil.rmtree(self._place)

    def _converse(self, data: bytes, key: int, local: bool) -> bytes:
        """Send the data, in up to three pieces, and close; returns everything that the server answers."""
        with socket.socket(socket.AF_UNIX if local else socket.AF_INET, socket.SOCK_STREAM) as client:
            if not local:
                # the port must not stay in use for a minute
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NOW)
            client.connect(self._path if local else ("127.0.0.1", self._port))
            client.setblocking(False)
            answer = bytearray()
            cuts = sorted(
                {0, len(data)} | {key // 7 % (len(data) + 1), key // 11 % (len(data) + 1)} if key % 3 else {0}
            )
            pieces = [data[a:b] for a, b in zip(cuts, [*cuts[1:], len(data)], strict=True) if a < b]
            self._turn()
            for piece in pieces:
                self._offer(client, piece, answer)
            with suppress(OSError):  # the server may have closed first
                client.shutdown(socket.SHUT_WR)
            for _ in range(MOST_TURNS):
                _take(client, answer)
                if not self._server.connections:
                    break
                self._turn()
            else:
                raise Wrong("the connection does not end")
            _take(client, answer)
            return bytes(answer)

    def _offer(self, client: socket.socket, piece: bytes, answer: bytearray) -> None:
        sent = 0
        for _ in range(MOST_TURNS):
            if sent == len(piece):
                break
            try:
                sent += client.send(piece[sent:])
            except BlockingIOError:
                pass
            except OSError:
                return
            self._turn()
            _take(client, answer)

    def _turn(self) -> None:
        """Make one turn of the loop that waits for nothing."""
        self._loop.call_soon(_nothing)
        self._loop.turn()

    def _judge_orders(self, data: bytes, local: bool) -> None:
        house = self._house
        if not local and (house.orders or house.private):
            raise Wrong(f"over TCP: {house.orders} {house.private}")
        for order in set(house.orders):
            asked = len(re.findall(rb"POST [^\r\n ]*/v1/(?:rollouts/[^\r\n ]*/)?%s" % order.encode(), data))
            if house.orders.count(order) > asked:
                raise Wrong(f"{order} was carried out {house.orders.count(order)} times, asked for {asked} times")


def _nothing() -> None:
    pass


def _take(client: socket.socket, answer: bytearray) -> None:
    while True:
        try:
            data = client.recv(65536)
        except OSError:
            return
        if not data:
            return
        answer += data


def _judge_answers(answer: bytes) -> str:
    """The first answer's status, after checking all answers that can be told apart."""
    if not answer:
        return "no answer"
    first = None
    at = 0
    while at < len(answer):
        line = _STATUS_LINE.match(answer, at)
        if line is None:
            raise Wrong(f"that is no answer: {answer[at : at + 80]!r}")
        status = int(line[1])
        first = first or status
        if status not in STATUSES:
            raise Wrong(f"the contract has no {status}: {answer[at : at + 200]!r}")
        end = answer.find(b"\r\n\r\n", at)
        if end < 0:
            raise Wrong("an answer without an end to its head")
        head = answer[at:end].lower()
        at = end + 4
        if status == 100:
            continue
        if b"transfer-encoding: chunked" in head or b"content-length:" not in head:
            break  # a stream is the last
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        body = answer[at : at + length]
        if answer.startswith(b"HTTP/1.1 ", at) or not body:
            continue  # the answer to HEAD has no body
        if b"application/json" in head:
            plain = json.loads(body)
            if status >= 400 and "error" in plain and sorted(plain["error"]) != ["code", "hint", "known", "message"]:
                raise Wrong(f"an error of another shape: {plain}")
        at += length
    return str(first)


def _request(rng: Random) -> bytes:
    """A request that knows the routes, and may be wrong in any of its parts."""
    route = pick(rng, ROUTES)
    method = route.method if rng.random() < 0.9 else pick(rng, METHODS)
    target = _path(rng, route) if rng.random() < 0.97 else quote(text(rng), safe="/?&=%", errors="replace")
    query = [_query(rng, param) for param in route.params if param.place == "query" and rng.random() < 0.5]
    if rng.random() < 0.1:
        query.append(_escaped(rng, text(rng)) + "=" + _escaped(rng, text(rng)))
    if query:
        target += "?" + "&".join(query)
    body = _body(rng, route) if route.method == "POST" or rng.random() < 0.05 else b""
    headers = ["Host: 127.0.0.1:9180"] if rng.random() < 0.97 else []
    headers += [pick(rng, HEADERS) for _ in range(int(rng.random() ** 3 * 4))]
    if body and rng.random() < 0.2:
        headers.append("Transfer-Encoding: chunked")
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    elif body or rng.random() < 0.1:
        headers.append(f"Content-Length: {len(body)}")
    version = "HTTP/1.1" if rng.random() < 0.95 else pick(rng, ("HTTP/1.0", "HTTP/0.9", "HTTP/2", "http/1.1", ""))
    head = "\r\n".join([f"{method} {target} {version}", *headers, "", ""])
    return head.encode("utf-8", "surrogatepass") + body


def _path(rng: Random, route: Route) -> str:
    name = pick(rng, NAMES) if rng.random() < 0.7 else text(rng)
    return re.sub(r"\{.*\}", lambda _: _escaped(rng, name), route.path)


def _query(rng: Random, param: Param) -> str:
    return f"{param.name}={_escaped(rng, _value(rng, param))}"


def _value(rng: Random, param: Param) -> str:
    roll = rng.random()
    if roll < 0.5:
        likely = {
            "array": NAMES,
            "integer": ("1", "5", "100"),
            "number": ("0.5", "1"),
            "time": ("2026-01-31T12:00:00Z", "1769860800"),
            "string": ("events", "events,status,logs", "0:10", "HUP"),
        }
        return pick(rng, likely.get(param.kind, TEXTS))
    return pick(rng, NUMBERS) if roll < 0.7 else text(rng)


def _escaped(rng: Random, value: str) -> str:
    """The value, mostly percent-encoded."""
    return quote(value, safe="", errors="replace") if rng.random() < 0.9 else value.replace(" ", "+")


def _body(rng: Random, route: Route) -> bytes:
    roll = rng.random()
    if roll < 0.1:
        return text(rng).encode("utf-8", "surrogatepass")
    if roll < 0.12:
        return pick(
            rng, (b"[" * 5000, b'{"a":' * 5000, b'{"services":' + b"9" * 5000 + b"}", b"\xff\xfe{\x00", b"1e999")
        )
    fields: dict[str, object] = {}
    for param in route.params:
        if param.place == "body" and rng.random() < 0.7:
            fields[param.name] = _plain(rng, param)
    if rng.random() < 0.1:
        fields[text(rng)] = text(rng)
    return json.dumps(fields).encode()


def _plain(rng: Random, param: Param) -> object:
    if rng.random() < 0.2:
        return pick(
            rng, (None, True, False, 0, -1, 1e308, float("nan"), [], {}, [[]], [None], {"a": []}, [1], ["\x00"])
        )
    if param.kind == "array":
        return [pick(rng, NAMES) if rng.random() < 0.8 else text(rng) for _ in range(int(rng.random() * 4))]
    if param.kind == "boolean":
        return rng.random() < 0.5
    return pick(rng, ("HUP", "SIGUSR1", "9", "64", "-1")) if rng.random() < 0.5 else text(rng)
