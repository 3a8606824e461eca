"""The agent of a host: it keeps the host's membership and its slots in ZooKeeper, and tells until when they hold.

It is a reconciler.  What is wanted (placement, by what is known of all hosts) is compared with what was read; the next
request follows from the difference, and what it did is read again.  So a lost answer, a restart of the agent or a node
that a user deletes needs no rule of its own.

One request is on its way at a time.  Every write has a version or a mark, because a request without an answer may have
been carried out, or still be.  None of kazoo's recipes has that: its Lock stays acquired after the session has ended.

Only an answered write counts as contact: a majority of the servers has carried it out.  A read is answered by one
server alone, also when the other servers are cut off from it and end the session.  For the same reason the first
request on a new connection is a write, and what is read after it is not older.  A contact extends a lease only where
the slot was seen, on the same connection, to be still this host's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from supervisor.core.cluster import documents
from supervisor.core.cluster.documents import Member
from supervisor.core.cluster.holding import Holding
from supervisor.core.cluster.lease import Contact
from supervisor.core.cluster.local import Local, Present, Settings
from supervisor.core.cluster.orders import Orders
from supervisor.core.cluster.placement import Slot
from supervisor.core.cluster.requests import (
    DIRECTORIES,
    DRAINS,
    HOSTS,
    INCIDENTS,
    MEMBERS,
    MOVES,
    SLOTS,
    STATUS,
    WRITES,
    Answer,
    Node,
    Request,
    Result,
    Verb,
    owner_path,
    slot_path,
)

REFUSED_FOR = 5.0
"""Seconds until a node that ZooKeeper has refused is asked for again."""
INCIDENTS_EVERY = 1.0
"""Seconds between two writes of the incidents of this host, at least."""
PROVES = (Result.DONE, Result.EXISTS, Result.NO_NODE, Result.BAD_VERSION)


class Agent(Holding):
    """What happens goes in, the next request comes out.  Moments are seconds of CLOCK_BOOTTIME."""

    def __init__(self, settings: Settings, mark: str, began: float = 0.0) -> None:
        """`mark`: unique to this agent and those that go on with its session; `began`: when this agent did."""
        super().__init__(settings, mark, began)
        self.orders = Orders()
        self._host = documents.dump(documents.Host(settings.node, settings.address, settings.version))
        self._made: set[str] = set()
        self._told: dict[str, str] = {}
        self._told_at = -1e9
        self._fresh = False
        self._unregistered = 0.0
        self._out: Request | None = None

    # -- what happens ----------------------------------------------------------------------------------------------

    def connected(self, session: int, granted: float) -> None:
        """There is a connection with this session.  All is read again: watches over a cut are not to be relied on."""
        if session != self.session:
            self._begin_again()
        elif self.contact is not None:
            self.contact = Contact(granted, self.contact.sent)
        self.session, self._granted, self._connected, self._out = session, granted, True, None
        self._fresh = False
        self._reread()

    def disconnected(self) -> None:
        """There is no connection.  The session may live on, so leases run until their time is over."""
        self._connected, self._out = False, None

    def expired(self) -> None:
        """The server has ended the session."""
        self.disconnected()
        self.session = 0
        self._begin_again()

    def told(self, local: Local, now: float) -> None:
        """The daemon said what it has."""
        if self.local is not None and local.services == self.local.services:
            local = replace(local, services=self.local.services)  # the same one, so that what follows from it is kept
        self.local, self._local_at, self._frozen = local, now, None
        self._unable_since = None if local.able else self._unable_since or now
        self.orders.given(local.orders)
        for slot in self.slots():
            self._watch(slot)

    def ended(self, slot: Slot, epoch: int) -> None:
        """The dead-man says that nothing is left of a slot's instance: the daemon may not live to say it."""
        if self.local is not None and self.local.present.get(slot, Present(0, gone=True)).epoch == epoch:
            self.local = replace(self.local, present={**self.local.present, slot: Present(epoch, gone=True)})

    def changed(self, verb: Verb, path: str) -> None:
        """A watch of an earlier GET or CHILDREN of this path fired."""
        awaited = self._out is not None and self._out.path == path
        if verb is Verb.CHILDREN or path in self.facts.nodes or awaited:
            self._stale[Request(verb, path)] = None

    def answered(self, answer: Answer, now: float) -> None:
        """The request on its way was answered, or was given up."""
        if answer.request != self._out:
            return
        self._out = None
        request, result = answer.request, answer.result
        self.orders.answered(answer)
        if request.verb in WRITES and result in PROVES and self.session:
            self._fresh = True
            sent = max(answer.sent, self.contact.sent if self.contact is not None else answer.sent)
            self.contact, self._ever = Contact(self._granted, sent), True
        path, own = request.path, request.path in self._own_paths()
        match request.verb:
            case Verb.CHILDREN if result is Result.DONE:
                self.facts.listed(path, answer.names)
                self._found(path)
            case Verb.CHILDREN if result is Result.NO_NODE:  # a person has removed it, or ZooKeeper has lost its data
                self._made.discard(path)
                self._stale[request] = None
            case Verb.GET if path.startswith((f"{STATUS}/", f"{INCIDENTS}/")):
                pass  # for an order
            case Verb.GET if result in (Result.DONE, Result.NO_NODE):
                self.facts.read(path, answer.node)
                self._confirm(path)
            case Verb.CHILDREN | Verb.GET:
                self._stale[request] = None
            case Verb.CREATE | Verb.SET if own:
                self._told_own(request, result, now)
            case Verb.CREATE if result in (Result.DONE, Result.EXISTS):
                self._made.add(path)
                if path not in DIRECTORIES:
                    self._stale[Request(Verb.GET, path)] = None
            case _:
                self._wrote(request, result, now)
                self._stale[Request(Verb.GET, path)] = None
        if result is Result.REFUSED:
            self._refused[path] = now + REFUSED_FOR, f"{request.verb} {path}: {answer.reason}"
        elif result is not Result.UNKNOWN:
            self._refused.pop(path, None)
        self._recognize(now)
        self._prove()
        if self._fresh and self.local is not None and not self._stale:
            self.knows = True

    # -- what follows ----------------------------------------------------------------------------------------------

    def next_request(self, now: float) -> Request | None:
        """The request to send now; None while one is on its way or there is nothing to ask."""
        if self._out is not None or not self._connected:
            return None
        allowed = (one for one in self._requests(now) if self._refused.get(one.path, (now, ""))[0] <= now)
        self._out = request = next(allowed, None)
        if request is not None:
            self._stale.pop(request, None)
            self._spend(request)
            if request.path.startswith(f"{SLOTS}/") and request.verb is Verb.CREATE_EPHEMERAL:
                self._tokens -= 1.0
        return request

    # -- the requests ----------------------------------------------------------------------------------------------

    def _requests(self, now: float) -> Iterator[Request]:
        """In the order of their need: the first one is sent."""
        for path in DIRECTORIES:
            if path not in self._made:
                yield Request(Verb.CREATE, path)
        member = self._is_member()
        overdue = self.contact is None or now - self.contact.sent >= self.settings.contact_interval
        untold = member and self.local is not None and f"{STATUS}/{self.settings.node}" not in self._told
        if overdue or untold or not self._fresh:
            yield self._contact_write(member)
        yield from self._stale
        if self.local is None:
            return
        yield from self._registration(now, member)
        ordered = self.orders.next_request(self._known())
        if ordered is not None:
            yield ordered
        if member:
            yield from self._incidents(now)
        for slot in self.slots() if member else ():
            if self.facts.nodes.get(slot_path(*slot)) is None:
                yield Request(Verb.CREATE, slot_path(*slot))
        yield from self._changes(now)

    def _contact_write(self, member: bool) -> Request:
        """A write that a majority carries out.  While the name of this host is not its own, it changes nothing: another
        host may bear the name, and what is kept under it is that host's."""
        if not member or self.local is None:
            return Request(Verb.CREATE, STATUS)
        path = f"{STATUS}/{self.settings.node}"
        status = self.local.status or self._told.get(path, "{}")  # what was told last, where the daemon tells nothing
        return Request(Verb.SET if path in self._made else Verb.CREATE, path, status)

    def _registration(self, now: float, member: bool) -> Iterator[Request]:
        own = self.settings
        host = f"{HOSTS}/{own.node}"
        if member and self._told.get(host) != self._host:
            yield Request(Verb.SET if host in self._made else Verb.CREATE, host, self._host)
        path, text = f"{MEMBERS}/{own.node}", self._my_text(now)
        node = self.facts.nodes.get(path)
        if node is None:
            yield Request(Verb.CREATE_EPHEMERAL, path, text)
        elif node.session == self.session and node.data != text:
            yield Request(Verb.SET, path, text, node.version)
        self._judge_name(path, node, now)

    def _judge_name(self, path: str, node: Node | None, now: float) -> None:
        """The node of our former session ends with it.  One that stays is another host's, which bears our name."""
        if node is not None and node.session == self.session and self._registered_at is None:
            self._registered_at = now
        if node is None or node.session == self.session:
            self._unregistered = 0.0
            self.problems.pop(path, None)
            return
        self._unregistered = self._unregistered or now
        if now - self._unregistered > self._granted + 2 * self.settings.tick_time:
            address = (documents.member(node.data) or Member("")).address or "no address"
            self.problems[path] = (
                f"another host bears the name {self.settings.node} (session {node.session:x}, {address}): "
                "give each its own cluster.node"
            )

    def _incidents(self, now: float) -> Iterator[Request]:
        assert self.local is not None
        path, text = f"{INCIDENTS}/{self.settings.node}", self.local.incidents
        if text and self._told.get(path) != text and now - self._told_at >= INCIDENTS_EVERY:
            yield Request(Verb.SET if path in self._made else Verb.CREATE, path, text)

    def _told_own(self, request: Request, result: Result, now: float) -> None:
        """A node that this host alone writes, and that it need not read."""
        path = request.path
        if path.startswith(INCIDENTS):
            self._told_at = now
        if result is Result.NO_NODE:
            self._made.discard(path)
        elif result in (Result.DONE, Result.EXISTS):
            self._made.add(path)
        if result is Result.DONE:
            self._told[path] = request.data

    def _own_paths(self) -> tuple[str, str, str]:
        node = self.settings.node
        return f"{HOSTS}/{node}", f"{STATUS}/{node}", f"{INCIDENTS}/{node}"

    # -- reading -----------------------------------------------------------------------------------------------------

    def _begin_again(self) -> None:
        """With a new session: what was written belongs to the old one, and ZooKeeper may be another."""
        self.contact = self._registered_at = None
        self._starts.clear()
        self._written.clear()
        self._proven.clear()
        self.failsafe.begin_again()
        self._made.clear()
        self._told.clear()

    def _reread(self) -> None:
        """Whether we still hold what we held comes first, because leases go on only then."""
        held = [owner_path(*slot) for slot in self.slots() if self._is_ours(slot)]
        self._stale = dict.fromkeys(Request(Verb.GET, path) for path in held)
        self._stale |= dict.fromkeys(Request(Verb.CHILDREN, path) for path in (MEMBERS, DRAINS, MOVES, HOSTS))
        self._stale |= dict.fromkeys(Request(Verb.GET, path) for path in self.facts.nodes)

    def _watch(self, slot: Slot) -> None:
        for path in (slot_path(*slot), owner_path(*slot)):
            if path not in self.facts.nodes:
                self._stale[Request(Verb.GET, path)] = None

    def _found(self, path: str) -> None:
        """Read what is new below a path, and forget what is gone.

        A host that was evicted belongs to the cluster again when it is no longer drained."""
        own = self.settings.node
        if path in (HOSTS, DRAINS) and own not in self.facts.hosts() and own not in self.facts.drained():
            self._told.pop(f"{HOSTS}/{own}", None)
            self._made.discard(f"{HOSTS}/{own}")
        if path not in (MEMBERS, MOVES):
            return
        there = {f"{path}/{name}" for name in self.facts.names[path]}
        for one in sorted(there - self.facts.nodes.keys()):
            self._stale[Request(Verb.GET, one)] = None
        for one in [one for one in self.facts.nodes if one.startswith(f"{path}/") and one not in there]:
            self.facts.forget(one)
