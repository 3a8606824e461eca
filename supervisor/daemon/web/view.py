"""Serves the web view to browsers on TCP: pages, and a stream of what changes in them.

It is imported only where `[supervisor.http]` has `web = true`.  Everything that it needs is imported with it, because
the files of the package may be replaced while the daemon runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from supervisor.adapters.control.call import Call
from supervisor.adapters.control.event_stream import open_stream
from supervisor.adapters.control.port import MOST_ID, Daemon, InCluster
from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.eventloop.slices import in_slices
from supervisor.adapters.http.messages import Exchange, Handler, Request
from supervisor.adapters.http.order_token import OrderToken
from supervisor.adapters.http.routing import Param, Route, arguments, decoded
from supervisor.adapters.http.static_files import ORDER_HEADERS, SAFE_HEADERS, StaticFiles
from supervisor.adapters.ledger.store import EventQuery
from supervisor.core.cluster.hosts import is_name
from supervisor.core.history.incidents import Incident
from supervisor.core.history.place import place
from supervisor.core.history.straightened import straightened
from supervisor.core.history.strips import strips
from supervisor.core.history.why import evidence_of, headline, incidents_of, one_incident
from supervisor.core.model.daemon_records import DAEMON
from supervisor.core.text.causes import phrase
from supervisor.core.text.timestamps import local_time
from supervisor.daemon.web.orders import Orders, Refused
from supervisor.display.recorded import FromDaemon
from supervisor.errors import NoSuchService, OperationFailed, SupervisorError, UsageError
from supervisor.web import host_pages, pages
from supervisor.web.frame import error_page
from supervisor.web.live import Changes
from supervisor.web.order_pages import ADDRESS
from supervisor.web.rows import grouped, load_text

if TYPE_CHECKING:
    from supervisor.core.model.documents import Event, Status
    from supervisor.core.model.evidence_documents import Evidence
    from supervisor.core.model.host_documents import HostsView
    from supervisor.core.model.instance_documents import Instance, InstanceName
    from supervisor.core.model.log_documents import Logs

HTML = "text/html; charset=utf-8"
PERIOD = 3600.0
"""Seconds that the strip of history shows."""
COLUMNS = 60
"""Cells of a strip."""
MOST_EVENTS = 500
"""Events of which the history of a page is made."""
SHOWN_EVENTS = 20
"""Events that the page of a service lists."""
AROUND = 200
"""Events of an instance before an event, and after it, in which its incident is looked for."""
FAILURES = 10
"""Failures that the page of a service lists of each instance."""
ROWS_A_SECOND = 50
"""Rows of statuses that one page is sent in a second, besides those that follow a change: it bounds what it costs."""
MOST_STREAMS = 16
"""Pages that are kept up to date at once, so that pages cannot take all connections."""
MOST_PLACES = 512
SLICE = 0.002
"""Seconds of one turn of the loop in which a page or its changes are made."""
_FILES = {"style.css": "text/css; charset=utf-8", "script.js": "text/javascript; charset=utf-8"}
_STREAM = Route("GET", "/web/stream", lambda _api, _call: None, "", "", (Param("service", "array", "services"),))


class WebView:
    """Handles the requests of the HTTP server: those for a page itself, all others by `api`."""

    def __init__(
        self,
        name: str,
        daemon: Daemon,
        api: Handler,
        loop: EventLoop,
        token: OrderToken | None = None,
        scheme: str = "http",
    ) -> None:
        """`name`: of the daemon.  `token`: that of orders; None: no order is taken.  `scheme`: of the addresses of the
        pages."""
        self.daemon = daemon
        self._name = name
        self.loop = loop
        self.streams = 0
        self._api = api
        self._headers = SAFE_HEADERS if token is None else ORDER_HEADERS
        self._orders = None if token is None else Orders(name, daemon, loop, token, scheme, self._answer)
        self._places: dict[int, str] = {}
        """Where the process hung, by the number of the evidence, which never changes."""
        folder = Path(pages.__file__).parent
        self._files = StaticFiles(
            {f"/web/{name}": ((folder / name).read_bytes(), kind) for name, kind in _FILES.items()}
        )

    def refusal(self, code: str, message: str) -> bytes:
        """The body for a request that the server refuses."""
        return self._api.refusal(code, message)

    def handle(self, exchange: Exchange) -> None:
        """Answer one request."""
        request = exchange.request
        answer = None if request.local else self._page(request.path)
        if answer is None:
            self._api.handle(exchange)
        elif request.path == ADDRESS and request.method != "POST":
            _refuse(exchange, 405, "Not allowed", "An order is sent by POST.", (("allow", "POST"),))
        elif request.path != ADDRESS and request.method not in ("GET", "HEAD"):
            _refuse(exchange, 405, "Not allowed", "This page can only be read.", (("allow", "GET, HEAD"),))
        elif _is_foreign(request):
            _refuse(exchange, 403, "Forbidden", "Another site may link to a page, but not load it.")
        else:
            try:
                answer(exchange)
            except SupervisorError as error:
                _fail(exchange, error)
            except Refused as refused:
                _refuse(exchange, refused.status, refused.title, refused.message, refused.headers)

    def _page(self, path: str) -> Callable[[Exchange], None] | None:
        """What answers for the path; None: it is none of the web view."""
        if path == "/":
            return lambda exchange: self._services(exchange, "")
        if path in self._files:
            return self._files.answer
        if path == "/web/stream":
            return self._stream
        if path == ADDRESS:
            return self._take if self._orders is None else self._orders.take
        kind, _, name = path.removeprefix("/").partition("/")
        if kind == "service" and name and "/" not in name:
            return lambda exchange: self._services(exchange, decoded(name))
        if kind == "incident" and name and "/" not in name:
            return lambda exchange: self._incident(exchange, name)
        if path == "/hosts":
            return self._hosts
        if kind == "host" and name and "/" not in name:
            return lambda exchange: self._host(exchange, decoded(name))
        if kind == "order" and name and "/" not in name and self._orders is not None:
            orders = self._orders
            return lambda exchange: orders.page(exchange, decoded(name))
        return None

    def _take(self, exchange: Exchange) -> None:
        raise Refused(403, "Orders are off", "This daemon takes no orders here: [supervisor.http] has no web_actions.")

    def _answer(self, exchange: Exchange, status: int, body: bytes) -> None:
        exchange.reply(status, body, HTML, (("cache-control", "no-store"), *self._headers))

    # -- pages -------------------------------------------------------------------------------------------------------

    def _services(self, exchange: Exchange, name: str) -> None:
        """The page of all services, or of one."""

        def done(status: Status | SupervisorError) -> None:
            if isinstance(status, SupervisorError):
                _fail(exchange, status)
            else:
                self._send(exchange, self._service(status, name) if name else self._overview(status))

        self.daemon.make_status((name,) if name else (), done)

    def _overview(self, status: Status) -> Generator[None, None, bytes]:
        past = yield from self._past(status, (), 1)
        return (yield from pages.services_page(status, past, orders=self._orders is not None, hosts=self._hosts_line()))

    def _service(self, status: Status, name: str) -> Generator[None, None, bytes]:
        rows = status["instances"]
        named = any(name in (row["service"], row["name"]) for row in rows)
        recorded = (name,) if named else tuple({row["service"]: None for row in rows})  # the name of a group
        past = yield from self._past(status, recorded, FAILURES)
        service = next((one for one in self.daemon.services()["services"] if one["name"] == name), None)
        recent = self.daemon.events(EventQuery(recorded, None, None, None, SHOWN_EVENTS))
        yield
        lines = [_in_words(event) for event in reversed(recent)]
        more = pages.service_details(service, rows, past, lines)
        return (yield from pages.services_page(status, past, name, more, orders=self._orders is not None))

    def _cluster(self) -> InCluster | None:
        try:
            return self.daemon.cluster()
        except OperationFailed:
            return None

    def _hosts_line(self) -> str:
        cluster = self._cluster()
        return "" if cluster is None else host_pages.hosts_line(cluster.view()["word"])

    def _hosts(self, exchange: Exchange) -> None:
        """The page of all hosts."""
        cluster = self._cluster()
        if cluster is None:
            _refuse(exchange, 404, "No cluster", "This daemon is in no cluster: the file has no [cluster].")
            return
        word = cluster.view()["word"]

        def done(view: HostsView) -> None:
            def then(status: Status | SupervisorError) -> None:
                load = "" if isinstance(status, SupervisorError) else load_text(status["instances"])
                self._answer(exchange, 200, host_pages.hosts_page(view, word, load, self._name, time.time()))

            self.daemon.make_status((), then)

        cluster.hosts(done)

    def _host(self, exchange: Exchange, node: str) -> None:
        """The page of one host."""
        cluster = self._cluster()
        if cluster is None or not is_name(node):
            _refuse(exchange, 404, "No such host", "This daemon knows no host of that name.")
            return
        cluster.host(node, lambda detail: self._answer(exchange, 200, host_pages.host_page(detail, self._name)))

    def _members(self) -> object:
        """What shows a change of the cluster: its members with their slots."""
        cluster = self._cluster()
        word = cluster.view()["word"] if cluster is not None else None
        if word is None:
            return None
        return [(one["node"], one["here"], one["drained"], one["taking"], one["slots"]) for one in word["members"]]

    def _past(self, status: Status, services: Sequence[str], most: int) -> Generator[None, None, pages.Past]:
        """What the ledger tells.  `most`: failures of each instance."""
        until = time.time()
        past = pages.Past(until - PERIOD, until)
        recorded = self.daemon.events(
            EventQuery((*services, *((DAEMON,) if services else ())), None, None, None, MOST_EVENTS)
        )
        mine: dict[str, list[Event]] = {}
        for event in straightened(recorded):
            mine.setdefault(event["service"], []).append(event)
        yield
        for service, rows in grouped(status):
            events = mine.get(service, [])
            past.cells[service] = strips(events, past.since, until, rows, COLUMNS).get(service, [])
            for row in rows:
                found = incidents_of(row, events)[-most:] if events else []
                past.failures[row["name"]] = [self._failure(one) for one in reversed(found)]
            yield
        return past

    def _failure(self, incident: Incident) -> pages.Failure:
        return pages.Failure(incident.events[0]["id"], incident.began, headline(incident), self._place(incident))

    def _place(self, incident: Incident) -> str:
        """Where its process was; empty where that is not known."""
        number = evidence_of(incident)
        if number is None:
            return ""
        if number not in self._places:
            if len(self._places) >= MOST_PLACES:
                self._places.clear()
            self._places[number] = place(incident.cause, self.daemon.evidence(number)) or ""
        return self._places[number]

    def _incident(self, exchange: Exchange, text: str) -> None:
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
        found = self.daemon.events(EventQuery((), None, number - 1, None, 1)) if 0 < number <= MOST_ID else []
        if not found or found[0]["id"] != number or found[0]["instance"] == DAEMON:
            _refuse(
                exchange,
                404,
                "No such incident",
                f"Event {text[:20]} is not recorded, or its records have been removed since.",
            )
            return
        view: InstanceName = {"name": found[0]["instance"], "service": found[0]["service"]}

        def done(status: Status | SupervisorError) -> None:
            if isinstance(status, SupervisorError) and not isinstance(status, NoSuchService):
                _fail(exchange, status)
                return
            rows = [] if isinstance(status, SupervisorError) else status["instances"]
            row = next((row for row in rows if row["name"] == view["name"]), None)
            self._send(exchange, self._tell(number, view, row))

        try:
            self.daemon.make_status((view["name"],), done)
        except NoSuchService as gone:
            done(gone)

    def _tell(self, number: int, view: InstanceName, row: Instance | None) -> Generator[None, None, bytes | None]:
        """The page of an incident; None: the event belongs to none."""
        name = view["name"]
        events = self.daemon.events(EventQuery((name,), None, None, number + 1, AROUND))
        events += self.daemon.events(EventQuery((name,), None, number, None, AROUND))
        source = FromDaemon(_Recorded(self.daemon))
        events += source.events([DAEMON], after=events[0]["id"], limit=MOST_EVENTS)
        events.sort(key=lambda event: event["id"])
        yield
        story = one_incident(row or view, events, number, source.evidence, source.words)
        yield
        if story is None:
            return None
        evidence = None if story["evidence_id"] is None else self.daemon.evidence(story["evidence_id"])
        yield
        return pages.incident_page(self._name, view, row, story, evidence, time.time())

    def _send(self, exchange: Exchange, work: Generator[None, None, bytes | None]) -> None:
        """Make a page in slices, and answer with it."""

        def done(body: bytes | None) -> None:
            if body is None:
                _refuse(exchange, 404, "No such incident", "This event belongs to no incident.")
            else:
                self._answer(exchange, 200, body)

        def failed() -> None:
            _refuse(exchange, 500, "The page could not be made", "The daemon's log says why.")

        in_slices(self.loop.call_soon, self.loop.now, work, SLICE, done, failed)

    # -- the stream --------------------------------------------------------------------------------------------------

    def _stream(self, exchange: Exchange) -> None:
        if self.streams >= MOST_STREAMS:
            _refuse(exchange, 429, "Too many pages", f"{MOST_STREAMS} pages are open already.")
            return
        given = arguments(_STREAM, {}, exchange.request.query, b"")
        changes = Changes()
        interval = max(1.0, self._rows(given["service"]) / ROWS_A_SECOND)

        def write(loop: EventLoop, status: Status, done: Callable[[bytes], None], failed: Callable[[], None]) -> None:
            in_slices(loop.call_soon, loop.now, changes.of(status, self._members()), SLICE, done, failed)

        call = Call({"topics": "events,status", "interval": interval, "service": given["service"]}, exchange)
        open_stream(self, call, write)

    def _rows(self, services: Sequence[str]) -> int:
        """How many instances these services have, or all."""
        if services:
            return len(self.daemon.names(services))
        return sum(len(service["instances"]) for service in self.daemon.services()["services"])


class _Recorded:
    """What FromDaemon asks of a client, answered by the daemon itself."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    def events(
        self,
        services: Sequence[str] = (),
        *,
        since: float | None = None,
        after: int | None = None,
        limit: int | None = None,
    ) -> list[Event]:
        return self._daemon.events(EventQuery(tuple(services), since, after, None, limit or MOST_EVENTS))

    def evidence(self, event_id: int) -> Evidence:
        found = self._daemon.evidence(event_id)
        if found is None:
            raise OperationFailed(f"nothing was captured for event {event_id}")
        return found

    def logs(
        self, name: str, *, lines: int | None = None, since: float | None = None, before: str | None = None
    ) -> Logs:
        try:
            return self._daemon.logs(name, lines=lines, since=since, before=before)
        except (OSError, ValueError) as error:
            raise OperationFailed(f"the log of {name} cannot be read: {error}") from None


def _is_foreign(request: Request) -> bool:
    """Whether another site loads this in the background or into a frame.  It could read nothing, but would cost the
    daemon time and take streams.  A link that is followed loads a document."""
    headers = request.headers
    return headers.get("sec-fetch-site", "none") not in ("same-origin", "none") and (
        headers.get("sec-fetch-dest") != "document"
    )


def _in_words(event: Event) -> str:
    """An event in a line."""
    change = event["to"] if event["from"] == event["to"] else f"{event['from']} → {event['to']}"
    return f"{local_time(event['at'])} {event['instance']}: {change}: {phrase(event['cause'], event['detail'], 200)}"


def _fail(exchange: Exchange, error: SupervisorError) -> None:
    if isinstance(error, NoSuchService):
        _refuse(exchange, 404, "No such service", error.message)
    elif isinstance(error, UsageError):
        _refuse(exchange, 400, "Bad request", f"{error.message} {error.hint}".strip())
    elif isinstance(error, OperationFailed):
        _refuse(exchange, 409, "Not done", f"{error.message} {error.hint}".strip())
    else:
        _refuse(exchange, 500, "The page could not be made", error.message)


def _refuse(
    exchange: Exchange, status: int, title: str, message: str, headers: tuple[tuple[str, str], ...] = ()
) -> None:
    """Answer with a page that says what is wrong."""
    exchange.reply(status, error_page(title, message), HTML, (*headers, *SAFE_HEADERS))
