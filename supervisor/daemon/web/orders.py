"""Takes orders from pages of the web view: by POST, from a page of this daemon, and with its token.

A browser can be made to send a POST by any web page that it shows, with the cookies of all ports of this host.  So
there is no cookie: the token is in the body, `Origin` must be that of the page, and `Host` must be this machine.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from supervisor.adapters.control.port import Daemon
from supervisor.adapters.control.routes import LONGEST
from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.http.messages import Exchange, Request
from supervisor.adapters.http.order_token import OrderToken
from supervisor.adapters.http.request_head import is_this_machine
from supervisor.errors import NoSuchService, SupervisorError, UsageError
from supervisor.web.attempts import Attempts
from supervisor.web.order_pages import VERBS, Target, order_page, taken_page, waiting_sentence

if TYPE_CHECKING:
    from supervisor.core.model.documents import Services, Status

MOST_BODY = 4096
FORM = "application/x-www-form-urlencoded"
FIELDS = frozenset(("name", "order", "token", "sure", "minutes", "reason"))
LONGEST_REASON = 200
_MINUTES = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
UNDER_WAY = ("running", "rolling-back", "halted")

Send = Callable[[Exchange, int, bytes], None]
"""Answers with a status and a page."""


class Refused(Exception):
    """An order that is not looked at."""

    def __init__(self, status: int, title: str, message: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message)
        self.status, self.title, self.message, self.headers = status, title, message, headers


class Orders:
    """`name`: of the daemon.  `scheme`: of its pages, `http` or `https`."""

    def __init__(self, name: str, daemon: Daemon, loop: EventLoop, token: OrderToken, scheme: str, send: Send) -> None:
        self._name, self._daemon, self._loop, self._send = name, daemon, loop, send
        self._token, self._scheme = token, scheme
        self._attempts = Attempts()

    def page(self, exchange: Exchange, name: str) -> None:
        """The page on which orders for a service, an instance or a group are given.  NoSuchService."""
        self._with_target(name, lambda target: self._send(exchange, 200, order_page(target, self._name)))

    def take(self, exchange: Exchange) -> None:
        """Take an order.  Refused, SupervisorError."""
        request = exchange.request
        self._require_own_page(request)
        fields = _fields(request)
        self._require_token(request, fields.get("token", ""))
        verb, name = fields.get("order", ""), fields.get("name", "")
        if verb not in VERBS:
            raise UsageError(f"There is no order {verb!r}.", "An order is one of " + ", ".join(VERBS) + ".")
        if not _is_known(self._daemon.services(), name):
            raise NoSuchService(f"No service, instance or group is named {name!r}.")
        if verb == "stop" and fields.get("sure") != "yes":
            sentence = f"Nothing was stopped: tick “Yes, stop {name}” first, and send the token again."
            self._with_target(name, lambda target: self._send(exchange, 400, order_page(target, self._name, sentence)))
            return
        names = self._give(verb, name, fields, exchange)
        self._send(exchange, 202, taken_page(verb, name, names, self._name))

    def _give(self, verb: str, name: str, fields: Mapping[str, str], exchange: Exchange) -> list[str]:
        """Carry out the order; returns the instances that it is for."""
        peer = exchange.request.peer
        if verb in ("pause", "resume"):
            return [self._daemon.steer(verb, name, peer)["service"]]
        if verb.startswith("maintenance"):
            on = verb == "maintenance-on"
            lasts = _seconds(fields.get("minutes", "")) if on else None
            reason = fields.get("reason", "").strip()[:LONGEST_REASON] if on else ""
            return self._daemon.maintain(on, [name], lasts, reason, peer)
        return self._daemon.act(verb, [name], peer=peer)

    def _require_own_page(self, request: Request) -> None:
        host, shown = request.headers.get("host", ""), request.headers.get("origin", "")
        if not is_this_machine(host):
            raise Refused(403, "Forbidden", "Orders are taken at localhost or a loopback address, not at another name.")
        if not shown:
            raise Refused(403, "Forbidden", "The request does not say from which page it comes (Origin).")
        if shown.lower() != f"{self._scheme}://{host}".lower():
            raise Refused(403, "Forbidden", "The order comes from another page than those of this daemon (Origin).")

    def _require_token(self, request: Request, shown: str) -> None:
        peer, now = request.peer, self._loop.now()
        client = (peer.uid, peer.address.rpartition(":")[0]) if peer is not None else None
        wait = self._attempts.wait(client, now)
        if wait:
            told = (("retry-after", str(int(wait) + 1)),)
            raise Refused(429, "Too many attempts", waiting_sentence(wait), told)
        if not shown:
            raise Refused(403, "Forbidden", "The order has no token: `supervisor web --token` prints it.")
        if not self._token.fits(shown):
            self._attempts.wrong(client, now)
            raise Refused(
                403,
                "Forbidden",
                "The token is wrong, or of an earlier run of the daemon: `supervisor web --token` prints it.",
            )

    def _with_target(self, name: str, then: Callable[[Target], None]) -> None:
        """Call `then` with what a page says of a service, instance or group.  NoSuchService."""
        services = self._daemon.services()
        if not _is_known(services, name):
            raise NoSuchService(f"No service, instance or group is named {name!r}.")

        def done(status: Status | SupervisorError) -> None:
            rows = status["instances"] if not isinstance(status, SupervisorError) else []
            meant = {row["service"] for row in rows}
            needed = _dependants(services, meant) if name in meant else []
            found = self._daemon.rollouts([name])["rollouts"] if name in meant else []
            rolling = next((one for one in found if one["state"] in UNDER_WAY), None)
            paused = rolling is not None and (rolling["paused"] or rolling["state"] == "halted")
            then(Target(name, rows, needed, rolling is not None, paused))

        self._daemon.make_status((name,), done)


def _fields(request: Request) -> dict[str, str]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != FORM:
        raise Refused(415, "Not a form", f"An order is a form ({FORM}).")
    if len(request.body) > MOST_BODY:
        raise Refused(413, "Too long", f"An order has at most {MOST_BODY} bytes.")
    try:
        pairs = parse_qsl(
            request.body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=20,
        )
    except ValueError:
        raise Refused(400, "Bad request", "The form cannot be read.") from None
    fields = dict(pairs)
    if len(fields) < len(pairs) or not fields.keys() <= FIELDS:
        raise Refused(400, "Bad request", f"An order has the fields {', '.join(sorted(FIELDS))}, each once.")
    return fields


def _is_known(services: Services, name: str) -> bool:
    """The name is that of a service, an instance or a group; on a page no pattern stands for several."""
    return any(name in (one["name"], one["group"] or None, *one["instances"]) for one in services["services"])


def _dependants(services: Services, meant: set[str]) -> list[str]:
    """The services that need one of these, also through others, in start order."""
    found = set(meant)
    for one in services["services"]:  # in start order, so one pass finds all
        if found & set(one["depends_on"]):
            found.add(one["name"])
    return [one["name"] for one in services["services"] if one["name"] in found - meant]


def _seconds(minutes: str) -> float | None:
    """The minutes of a maintenance in seconds; None where none are given: it lasts until it is ended."""
    if not minutes.strip():
        return None
    found = float(minutes) * 60.0 if _MINUTES.fullmatch(minutes.strip()) else 0.0
    if not 60.0 <= found <= LONGEST:
        raise UsageError(f"The minutes of a maintenance are a number from 1 to {LONGEST / 60:.0f}, not {minutes!r}.")
    return found
