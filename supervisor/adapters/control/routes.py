"""The control API: one table of routes, which the router uses and the OpenAPI document is made from.

Handlers turn a checked call into one question to the `Daemon`; its exceptions from errors.py become error bodies.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from supervisor.adapters.control.call import JSON_TYPE, Call, encode_status, error_body
from supervisor.adapters.control.port import MOST_ID, Daemon
from supervisor.adapters.eventloop.fd_passing import unquoted
from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.http.messages import Exchange
from supervisor.adapters.http.routing import Param, Params, Route, arguments, match
from supervisor.adapters.ledger.store import EventQuery
from supervisor.core.services.status import not_ready
from supervisor.core.text.nearest import nearest
from supervisor.errors import ConfigError, NoSuchService, OperationFailed, OtherFile, SupervisorError, UsageError

if TYPE_CHECKING:
    from supervisor.core.model.cluster_documents import NewOrder, Ordered, OrderState
    from supervisor.core.model.documents import Accepted, Difference, Events, Health, Readiness, Status, Upgrade
    from supervisor.core.model.push_documents import NewPush

FILE_HEADER = "supervisor-file"
"""The header in which a client says which file it means, percent-encoded."""
MOST_STREAMS = 32
RESERVED_STREAMS = 16
"""Streams beyond that which only commands that wait for their order may open, so that followers cannot hinder them."""
PURPOSE = "supervisor-purpose"
"""Header of a stream that a command opens to wait for its order; its value is `order`.  Rows have no CPU and memory."""
DEADLINE = "supervisor-deadline"
"""Header of an order: the time by CLOCK_MONOTONIC until which its client waits. It is not carried out later."""
LONGEST = 366 * 86_400.0
"""Seconds that a maintenance can last at most."""
CLUSTER_ORDERS = ("move", "drain", "undrain", "evict")
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
    def done(result: Status | SupervisorError) -> None:
        if isinstance(result, SupervisorError):
            call.fail(500, "internal", result)
        else:
            encode_status(api.loop, result, answer, failed)

    def answer(body: bytes) -> None:
        call.exchange.reply(200, body, JSON_TYPE)

    def failed() -> None:
        call.fail(500, "internal", OperationFailed("the status could not be sent", "The daemon's log says why."))

    api.daemon.make_status(call.args["service"], done)


def _services(api: ControlRoutes, call: Call) -> None:
    call.answer(api.daemon.services())


def _breaker(api: ControlRoutes, call: Call) -> None:
    call.answer(api.daemon.breaker(call.args["name"]))


def _balance(api: ControlRoutes, call: Call) -> None:
    call.answer(api.daemon.balance(call.args["service"]))


def _cluster(api: ControlRoutes, call: Call) -> None:
    call.answer(api.daemon.cluster().view())


def _cluster_order(api: ControlRoutes, call: Call) -> None:
    args = call.args
    if args["verb"] not in CLUSTER_ORDERS:
        raise UsageError(f'no such order: "{args["verb"]}"', f"There are {', '.join(CLUSTER_ORDERS)}.")
    if not args["node"] or (args["verb"] == "move") is not bool(args["service"]):
        raise UsageError(f'"{args["verb"]}" names a node, and "move" a service, too')
    order: NewOrder = {"verb": args["verb"], "node": args["node"]}
    if args["service"]:
        order |= {"service": args["service"], "slot": args["slot"]}
    answer: Ordered = {"id": api.daemon.cluster().order(order)}
    call.answer(answer, 202)


def _cluster_push(api: ControlRoutes, call: Call) -> None:
    args, cluster = call.args, api.daemon.cluster()
    from supervisor.core.cluster.version_documents import is_share, refusal  # only a daemon with [cluster] comes here

    share = args["max_unavailable"]
    if not is_share(share):
        raise UsageError(f'max_unavailable is a number of hosts, 1 or more, or a part of them ("25%"), not "{share}"')
    if bool(args["text"]) is args["undo"]:
        raise UsageError("a push has a text, and an undo has none")
    if args["takes_back"] and not args["undo"]:
        raise UsageError("only an undo takes a push back")
    refused = refusal(args["text"])
    if refused:
        raise UsageError(refused)
    push: NewPush = {
        "text": args["text"], "max_unavailable": share, "timeout": args["timeout"], "undo": args["undo"],
        "takes_back": args["takes_back"],
    }  # fmt: skip
    answer: Ordered = {"id": cluster.push(push, call.peer)}
    call.answer(answer, 202)


def _cluster_outcome(api: ControlRoutes, call: Call) -> None:
    answer: OrderState = {"outcome": api.daemon.cluster().outcome(call.args["id"])}
    call.answer(answer)


def _hosts(api: ControlRoutes, call: Call) -> None:
    api.daemon.cluster().hosts(call.answer)


def _host(api: ControlRoutes, call: Call) -> None:
    cluster, node = api.daemon.cluster(), call.args["node"]
    from supervisor.core.cluster.hosts import is_name  # only a daemon with [cluster] comes here

    if not is_name(node):
        raise UsageError(f"{node!r} is no name of a host")
    cluster.host(node, call.answer)


def _instance(api: ControlRoutes, call: Call) -> None:
    call.answer(api.daemon.instance(call.args["name"]))


def _acting(verb: str) -> Callable[[ControlRoutes, Call], None]:
    def act(api: ControlRoutes, call: Call) -> None:
        names = api.daemon.act(verb, call.args["services"], peer=call.peer)
        accepted: Accepted = {"instances": names}
        call.answer(accepted, 202)

    return act


def _restart(api: ControlRoutes, call: Call) -> None:
    names = api.daemon.act("restart", call.args["services"], rolling=call.args["rolling"], peer=call.peer)
    accepted: Accepted = {"instances": names}
    call.answer(accepted, 202)


def _rollouts(api: ControlRoutes, call: Call) -> None:
    call.answer(api.daemon.rollouts(call.args["service"]))


def _steering(verb: str) -> Callable[[ControlRoutes, Call], None]:
    def steer(api: ControlRoutes, call: Call) -> None:
        call.answer(api.daemon.steer(verb, call.args["name"], call.peer), 202)

    return steer


def _signal(api: ControlRoutes, call: Call) -> None:
    number, insist = call.args["signal"], call.args["insist"]
    insist = number is not None if insist is None else insist

    def done(result: list[str] | SupervisorError) -> None:
        if isinstance(result, SupervisorError):
            api.refuse(call, result)
        else:
            accepted: Accepted = {"instances": result}
            call.answer(accepted, 202)

    check = call.args["check"]
    api.daemon.signal(call.args["services"], done, number, insist=insist, check=check, peer=call.peer)


def _maintenance(api: ControlRoutes, call: Call) -> None:
    args = call.args
    names = api.daemon.maintain(args["on"], args["services"], args["for_s"], args["reason"], call.peer)
    accepted: Accepted = {"instances": names}
    call.answer(accepted, 202)


def _scale(api: ControlRoutes, call: Call) -> None:
    call.answer(api.daemon.scale(call.args["services"], call.peer), 202)


def _down(api: ControlRoutes, call: Call) -> None:
    api.daemon.down(call.peer)
    call.answer({}, 202)


def _reload(api: ControlRoutes, call: Call) -> None:
    def done(result: Difference | SupervisorError) -> None:
        if isinstance(result, SupervisorError):
            api.refuse(call, result)
        else:
            call.answer(result)

    given = [] if call.args["no_profiles"] else call.args["profiles"] or None
    api.daemon.reload(call.args["dry_run"], done, call.peer, given)


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
    page = {key: args[key] for key in ("lines", "since", "before", "after", "stream")}
    if page["stream"] not in (None, "stdout", "stderr"):
        raise UsageError(f"stream is stdout or stderr, not {page['stream']!r}")
    try:
        call.answer(api.daemon.logs(name, **page))
    except ValueError as error:
        raise UsageError(f"not a cursor: {error}") from None
    except OSError as error:
        raise OperationFailed(f"the log of {name} cannot be read: {error}") from None


def _stream(api: ControlRoutes, call: Call) -> None:
    from supervisor.adapters.control.event_stream import open_stream

    for_order = call.headers.get(PURPOSE) == "order"
    most = MOST_STREAMS + (RESERVED_STREAMS if for_order else 0)
    if api.streams >= most:
        busy = SupervisorError(f"{most} streams are open already", "close one that is not read")
        call.fail(429, "too-many-streams", busy)
        return
    open_stream(api, call, for_order=for_order)


def _metrics(api: ControlRoutes, call: Call) -> None:
    def done(result: bytes | SupervisorError) -> None:
        if isinstance(result, SupervisorError):
            call.fail(500, "internal", result)
        else:
            call.exchange.reply(200, result, "text/plain; version=0.0.4; charset=utf-8")

    api.daemon.metrics(done)


def _healthz(_api: ControlRoutes, call: Call) -> None:
    health: Health = {"status": "ok"}
    call.answer(health)  # an answer at all proves that the loop turns


def _readyz(api: ControlRoutes, call: Call) -> None:
    def done(result: Status | SupervisorError) -> None:
        if isinstance(result, SupervisorError):
            call.fail(500, "internal", result)
            return
        waiting = not_ready(result["instances"])
        readiness: Readiness = {"status": "not ready" if waiting else "ok", "waiting_for": waiting}
        call.answer(readiness, 503 if waiting else 200)

    api.daemon.make_status((), done)


def _openapi(_api: ControlRoutes, call: Call) -> None:
    from supervisor.adapters.control.openapi import document

    call.exchange.reply(200, document(), JSON_TYPE)


# -- the table -------------------------------------------------------------------------------------------------------

_SERVICE = Param("service", "array", "only these services, instances or groups, or patterns such as web*")
_NAME = Param("name", "string", "an instance: web, or web@2", place="path")
_BREAKER = Param("name", "string", "a service", place="path")
_SERVICES = Param("services", "array", "services, instances or groups; empty: all", place="body")
_MAINTENANCE: Params = (
    _SERVICES,
    Param("on", "boolean", "false: supervise them again", default=True, place="body"),
    Param("for_s", "number", "seconds after which it ends by itself", minimum=0.001, maximum=LONGEST, place="body"),
    Param("reason", "string", "why; shown in the status", default="", place="body"),
)
_CLUSTER_ORDER: Params = (
    Param("verb", "string", "move, drain, undrain or evict", default="", place="body"),
    Param("node", "string", "the host", default="", place="body"),
    Param("service", "string", "of move", default="", place="body"),
    Param("slot", "integer", "of move, counted from 0", default=0, minimum=0, place="body"),
)
_CLUSTER_PUSH: Params = (
    Param("text", "string", "the file; its [supervisor], [cluster] and [fleet] are not used", default="", place="body"),
    Param("undo", "boolean", "push what was in force before, in place of a text", default=False, place="body"),
    Param(
        "takes_back", "integer", "of undo: the version whose push is in progress", default=0, minimum=0, place="body"
    ),
    Param("max_unavailable", "string", "hosts in change at a time, or a part (25%)", default="1", place="body"),
    Param("timeout", "number", "seconds a host may take", default=600.0, minimum=1.0, maximum=LONGEST, place="body"),
)
_ORDER_ID = Param("id", "string", "the number of an order", place="path")
_HOST = Param("node", "string", "a host of the cluster", place="path")
_SINCE = Param("since", "time", "ISO 8601 (UTC unless it says otherwise) or seconds since the epoch")
_SIGNAL = Param("signal", "string", "HUP, SIGHUP or 1; each service's reload_signal if not given", place="body")
_INSIST = Param(
    "insist",
    "boolean",
    "send it even to a process that would be ended or stopped by it; unless given, true where `signal` is given",
    place="body",
)
_CHECK = Param(
    "check", "boolean", "before a reload signal, the service's reload_check has to pass", default=True, place="body"
)
_ROLLING = Param("rolling", "boolean", "instance by instance, by the service's rollout", default=False, place="body")
_ROLLED = Param("name", "string", "a service", place="path")
_PAGE: Params = (
    Param("lines", "integer", "the last N lines", minimum=1, maximum=100_000),
    Param("before", "string", "the lines that end before this cursor"),
    Param("after", "string", "the lines that begin after this cursor"),
    Param("stream", "string", "stdout or stderr: that log alone, where log.stderr keeps them apart"),
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
    Route(
        "GET",
        "/v1/services/{name}/breaker",
        _breaker,
        "The breaker of a service",
        "BreakerStatus",
        (_BREAKER,),
        tcp=True,
    ),
    Route("GET", "/v1/cluster", _cluster, "The cluster, as the agent of this host sees it", "ClusterView", tcp=True),
    Route("POST", "/v1/cluster/orders", _cluster_order, "Order the cluster", "Ordered", _CLUSTER_ORDER, answers=202),
    Route("POST", "/v1/cluster/pushes", _cluster_push, "Push a configuration", "Ordered", _CLUSTER_PUSH, answers=202),
    Route("GET", "/v1/cluster/orders/{id}", _cluster_outcome, "What became of an order", "OrderState", (_ORDER_ID,)),
    Route("GET", "/v1/cluster/hosts", _hosts, "What each host has told, also one that is gone", "HostsView", tcp=True),
    Route(
        "GET", "/v1/cluster/hosts/{node}", _host, "One host with its last failures and events", "HostDetail", (_HOST,)
    ),
    Route("GET", "/v1/balance", _balance, "Balanced services and their slots", "Balances", (_SERVICE,), tcp=True),
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
        _restart,
        "Stop services, then start them",
        "Accepted",
        (_SERVICES, _ROLLING),
        answers=202,
    ),
    Route(
        "POST", "/v1/reset", _acting("reset"), "Close breakers, clear backoff", "Accepted", (_SERVICES,), answers=202
    ),
    Route("GET", "/v1/rollouts", _rollouts, "The newest rollouts", "Rollouts", (_SERVICE,), tcp=True),
    *(
        Route("POST", f"/v1/rollouts/{{name}}/{verb}", _steering(verb), summary, "Rollout", (_ROLLED,), answers=202)
        for verb, summary in (
            ("pause", "Replace no further instance for now"),
            ("resume", "Go on with a paused rollout, or try a halted one again"),
            ("undo", "Go back to the definition before the rollout"),
        )
    ),
    Route(
        "POST",
        "/v1/signal",
        _signal,
        "Send a signal to main processes; none gets it if one of them does not handle it and would be ended or stopped",
        "Accepted",
        (_SERVICES, _SIGNAL, _INSIST, _CHECK),
        answers=202,
    ),
    Route(
        "POST",
        "/v1/maintenance",
        _maintenance,
        "Leave services alone: nothing is probed into a restart, and nothing is restarted",
        "Accepted",
        _MAINTENANCE,
        answers=202,
    ),
    Route(
        "POST",
        "/v1/scale",
        _scale,
        "Set other numbers of replicas, until the next reload",
        "Scaled",
        (Param("services", "array", "SERVICE=N of each service", place="body"),),
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
        (
            Param("dry_run", "boolean", "only report what would change", default=False, place="body"),
            Param("profiles", "array", "those that are to be active; empty: as they are", place="body"),
            Param("no_profiles", "boolean", "none is to be active", default=False, place="body"),
        ),
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
