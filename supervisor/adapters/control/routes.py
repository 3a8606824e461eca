"""The control API: one table of routes, which the router uses and the OpenAPI document is made from.

Handlers turn a checked call into one question to the `Daemon`; its exceptions from errors.py become error bodies.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from supervisor.adapters.control.call import JSON_TYPE, Call, error_body
from supervisor.adapters.control.port import MOST_ID, Daemon
from supervisor.adapters.eventloop.fd_passing import unquoted
from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.http.messages import Exchange
from supervisor.adapters.http.routing import Param, Params, Route, arguments, match
from supervisor.adapters.ledger.store import EventQuery
from supervisor.core.services.status import should_be_up_but_is_not
from supervisor.core.text.nearest import nearest
from supervisor.errors import ConfigError, NoSuchService, OperationFailed, OtherFile, SupervisorError, UsageError

if TYPE_CHECKING:
    from supervisor.core.model.documents import Accepted, Difference, Events, Health, Readiness, Upgrade

FILE_HEADER = "supervisor-file"
"""The header in which a client says which file it means, percent-encoded."""
MOST_STREAMS = 32
RESERVED_STREAMS = 16
"""Streams beyond that which only commands that wait for their order may open, so that followers cannot hinder them."""
PURPOSE = "supervisor-purpose"
"""Header of a stream that a command opens to wait for its order; its value is `order`."""
DEADLINE = "supervisor-deadline"
"""Header of an order: the time by CLOCK_MONOTONIC until which its client waits. It is not carried out later."""
MOST_KNOWN = 10
"""Names that an error suggests, at most."""


class ControlRoutes:
    """Handles the requests of the HTTP server."""

    def __init__(self, daemon: Daemon, loop: EventLoop) -> None:
        self.daemon = daemon
        self.loop = loop
        self.streams = 0

    def handle(self, exchange: Exchange) -> None:
        """Answer one request."""
        request = exchange.request
        call = Call({}, exchange, request.headers)
        try:
            route, path_args = _route(call, request.method, request.path, request.local)
            if route is not None:
                self._require_own(request.headers.get(FILE_HEADER))
                call.args = arguments(route, path_args, request.query, request.body)
                if route.method == "POST":
                    self._check_deadline(request.headers.get(DEADLINE))
                route.handler(self, call)
        except SupervisorError as error:
            self.refuse(call, error)

    def _require_own(self, meant: str | None) -> None:
        """OtherFile where the client means another file.  Without the header it means whatever answers."""
        file = self.daemon.file
        if meant is not None and unquoted(meant) != file:
            raise OtherFile(
                f"this daemon runs {file}, not {unquoted(meant)}",
                f"Use -f {file}, or --socket; or give one of the two another [supervisor] name.",
            )

    def _check_deadline(self, deadline: str | None) -> None:
        """Refuse an order that was taken only after its client had given up, say because the daemon was stopped."""
        if deadline is None:
            return
        try:
            until = float(deadline)
        except ValueError:
            until = math.nan
        if math.isnan(until):
            raise UsageError(f"{DEADLINE} must be seconds of CLOCK_MONOTONIC, not {deadline!r}")
        if self.loop.now() > until:
            raise OperationFailed("the order came too late and was not carried out", "Give it again.")

    def refusal(self, code: str, message: str) -> bytes:
        """The body for a request that never became a call."""
        return error_body(code, message)

    def refuse(self, call: Call, error: SupervisorError) -> None:
        """Answer with the status and body that the API defines for `error`."""
        for kind, (status, code) in STATUS_OF.items():
            if isinstance(error, kind):
                known = self._nearest(call) if kind is NoSuchService else ()
                call.fail(status, code, error, known)
                return
        call.fail(500, "internal", error)

    def _nearest(self, call: Call) -> list[str]:
        """The names that the caller may have meant."""
        known: dict[str, None] = {}
        for service in self.daemon.services()["services"]:
            known.update(dict.fromkeys((service["name"], *service["instances"])))
            if service["group"]:
                known[service["group"]] = None
        asked = (
            [call.args["name"]] if "name" in call.args else call.args.get("services") or call.args.get("service") or []
        )
        near = [near for name in asked if name not in known for near in nearest(name, known, MOST_KNOWN)]
        return list(dict.fromkeys(near))[:MOST_KNOWN] or list(known)[:MOST_KNOWN]


STATUS_OF: dict[type[SupervisorError], tuple[int, str]] = {
    OtherFile: (421, "other-file"),
    UsageError: (400, "usage"),
    NoSuchService: (404, "no-such-service"),
    ConfigError: (422, "config"),
    OperationFailed: (409, "failed"),
}


def _route(call: Call, method: str, path: str, local: bool) -> tuple[Route | None, dict[str, str]]:
    """The route, or (None, {}) after answering why there is none."""
    found = match(ROUTES, path)
    if not found:
        call.fail(404, "no-such-route", SupervisorError(f"there is no {path}", "GET /openapi.json names every route"))
        return None, {}
    for route, args in found:
        if method == route.method or (method == "HEAD" and route.method == "GET"):
            if local or route.tcp:
                return route, args
            only = SupervisorError(f"{path} is served on the control socket only")
            call.fail(403, "forbidden", only)
            return None, {}
    allowed = ", ".join(sorted({route.method for route, _ in found}))
    body = error_body("method-not-allowed", f"{path} takes {allowed}, not {method}")
    call.exchange.reply(405, body, JSON_TYPE, (("allow", allowed),))
    return None, {}


# -- handlers --------------------------------------------------------------------------------------------------------


def _status(api: ControlRoutes, call: Call) -> None:
    call.answer(api.daemon.status(call.args["service"]))


def _services(api: ControlRoutes, call: Call) -> None:
    call.answer(api.daemon.services())


def _instance(api: ControlRoutes, call: Call) -> None:
    call.answer(api.daemon.instance(call.args["name"]))


def _acting(verb: str) -> Callable[[ControlRoutes, Call], None]:
    def act(api: ControlRoutes, call: Call) -> None:
        names = api.daemon.act(verb, call.args["services"], peer=call.peer)
        accepted: Accepted = {"instances": names}
        call.answer(accepted, 202)

    return act


def _signal(api: ControlRoutes, call: Call) -> None:
    number, insist = call.args["signal"], call.args["insist"]
    insist = number is not None if insist is None else insist
    names = api.daemon.act("signal", call.args["services"], number, insist=insist, peer=call.peer)
    accepted: Accepted = {"instances": names}
    call.answer(accepted, 202)


def _down(api: ControlRoutes, call: Call) -> None:
    api.daemon.down(call.peer)
    call.answer({}, 202)


def _reload(api: ControlRoutes, call: Call) -> None:
    def done(result: Difference | SupervisorError) -> None:
        if isinstance(result, SupervisorError):
            api.refuse(call, result)
        else:
            call.answer(result)

    api.daemon.reload(call.args["dry_run"], done, call.peer)


def _upgrade(api: ControlRoutes, call: Call) -> None:
    def done(result: Upgrade | SupervisorError) -> None:
        if isinstance(result, SupervisorError):
            api.refuse(call, result)
        else:
            call.answer(result, 202)

    api.daemon.upgrade(call.args["python"], done, call.peer)


def _events(api: ControlRoutes, call: Call) -> None:
    args = call.args
    query = EventQuery(tuple(args["service"]), args["since"], args["after"], args["before"], args["limit"])
    page: Events = {"events": api.daemon.events(query)}
    call.answer(page)


def _evidence(api: ControlRoutes, call: Call) -> None:
    found = api.daemon.evidence(call.args["id"])
    if found is None:
        call.fail(404, "no-evidence", SupervisorError(f"nothing was captured for event {call.args['id']}"))
    else:
        call.answer(found)


def _logs(api: ControlRoutes, call: Call) -> None:
    args = call.args
    name = args["name"]
    page = {key: args[key] for key in ("lines", "since", "before", "after")}
    try:
        call.answer(api.daemon.logs(name, **page))
    except ValueError as error:
        raise UsageError(f"not a cursor: {error}") from None
    except OSError as error:
        raise OperationFailed(f"the log of {name} cannot be read: {error}") from None


def _stream(api: ControlRoutes, call: Call) -> None:
    from supervisor.adapters.control.event_stream import open_stream

    most = MOST_STREAMS + (RESERVED_STREAMS if call.headers.get(PURPOSE) == "order" else 0)
    if api.streams >= most:
        busy = SupervisorError(f"{most} streams are open already", "close one that is not read")
        call.fail(429, "too-many-streams", busy)
        return
    open_stream(api, call)


def _metrics(api: ControlRoutes, call: Call) -> None:
    call.exchange.reply(200, api.daemon.metrics().encode(), "text/plain; version=0.0.4; charset=utf-8")


def _healthz(_api: ControlRoutes, call: Call) -> None:
    health: Health = {"status": "ok"}
    call.answer(health)  # an answer at all proves that the loop turns


def _readyz(api: ControlRoutes, call: Call) -> None:
    waiting = [row["name"] for row in api.daemon.status()["instances"] if should_be_up_but_is_not(row)]
    readiness: Readiness = {"status": "not ready" if waiting else "ok", "waiting_for": waiting}
    call.answer(readiness, 503 if waiting else 200)


def _openapi(_api: ControlRoutes, call: Call) -> None:
    from supervisor.adapters.control.openapi import document

    call.exchange.reply(200, document(), JSON_TYPE)


# -- the table -------------------------------------------------------------------------------------------------------

_SERVICE = Param("service", "array", "only these services, instances or groups")
_NAME = Param("name", "string", "an instance: web, or web@2", place="path")
_SERVICES = Param("services", "array", "services, instances or groups; empty: all", place="body")
_SINCE = Param("since", "time", "ISO 8601 (UTC unless it says otherwise) or seconds since the epoch")
_SIGNAL = Param("signal", "string", "HUP, SIGHUP or 1; each service's reload_signal if not given", place="body")
_INSIST = Param(
    "insist",
    "boolean",
    "send it even to a process that would be ended or stopped by it; unless given, true where `signal` is given",
    place="body",
)
_PAGE: Params = (
    Param("lines", "integer", "the last N lines", minimum=1, maximum=100_000),
    Param("before", "string", "the lines that end before this cursor"),
    Param("after", "string", "the lines that begin after this cursor"),
    _SINCE,
)
_QUERY: Params = (
    _SERVICE,
    _SINCE,
    Param("limit", "integer", "at most N events", default=100, minimum=1, maximum=1000),
    Param("after", "integer", "only events after this id, the first ones", minimum=-MOST_ID, maximum=MOST_ID),
    Param("before", "integer", "only events before this id, the last ones", minimum=-MOST_ID, maximum=MOST_ID),
)
_WATCH: Params = (
    Param("topics", "string", "of events, status and logs, separated by commas", default="events,status"),
    _SERVICE,
    Param("interval", "number", "seconds between two status events", default=1.0, minimum=0.2, maximum=3600.0),
)

ROUTES: tuple[Route, ...] = (
    Route("GET", "/v1/status", _status, "The daemon, and one row per instance", "Status", (_SERVICE,), tcp=True),
    Route("GET", "/v1/services", _services, "What is configured, in start order", "Services", tcp=True),
    Route("GET", "/v1/instances/{name}", _instance, "Everything about one instance", "InstanceDetail", (_NAME,)),
    Route(
        "POST",
        "/v1/start",
        _acting("start"),
        "Start services and what they depend on",
        "Accepted",
        (_SERVICES,),
        answers=202,
    ),
    Route(
        "POST", "/v1/stop", _acting("stop"), "Stop services, dependants first", "Accepted", (_SERVICES,), answers=202
    ),
    Route(
        "POST",
        "/v1/restart",
        _acting("restart"),
        "Stop services, then start them",
        "Accepted",
        (_SERVICES,),
        answers=202,
    ),
    Route(
        "POST", "/v1/reset", _acting("reset"), "Close breakers, clear backoff", "Accepted", (_SERVICES,), answers=202
    ),
    Route(
        "POST",
        "/v1/signal",
        _signal,
        "Send a signal to main processes; none gets it if one of them does not handle it and would be ended or stopped",
        "Accepted",
        (_SERVICES, _SIGNAL, _INSIST),
        answers=202,
    ),
    Route(
        "POST", "/v1/down", _down, "Stop all services and end the daemon; a second time: kill", "Nothing", answers=202
    ),
    Route(
        "POST",
        "/v1/reload",
        _reload,
        "Apply the edited configuration",
        "Difference",
        (Param("dry_run", "boolean", "only report what would change", default=False, place="body"),),
    ),
    Route(
        "POST",
        "/v1/upgrade",
        _upgrade,
        "Replace the daemon by another version in the same process; services keep running",
        "Upgrade",
        (Param("python", "string", "the interpreter of the new version; the daemon's own if not given", place="body"),),
        answers=202,
    ),
    Route("GET", "/v1/events", _events, "State changes with their causes, oldest first", "Events", _QUERY, tcp=True),
    Route(
        "GET",
        "/v1/evidence/{id}",
        _evidence,
        "What was captured before a kill",
        "Evidence",
        (Param("id", "integer", "an event's evidence_id", place="path", minimum=-MOST_ID, maximum=MOST_ID),),
    ),
    Route("GET", "/v1/logs/{name}", _logs, "Output of an instance", "Logs", (_NAME, *_PAGE)),
    Route("GET", "/v1/stream", _stream, "Server-sent events", "Stream", _WATCH),
    Route("GET", "/metrics", _metrics, "Metrics for Prometheus", "Metrics", tcp=True),
    Route("GET", "/healthz", _healthz, "The event loop is running", "Health", tcp=True),
    Route("GET", "/readyz", _readyz, "Every wanted instance is ready; else 503", "Readiness", tcp=True),
    Route("GET", "/openapi.json", _openapi, "This document", "OpenApi", tcp=True),
)
