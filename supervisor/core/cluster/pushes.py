"""A member's part in pushed configurations: it reads the record, says what its host runs, and advances a push.

Like the agent, which it goes beside on the same session, it is a reconciler: the next request follows from what was
read, and what a request did is read again.  Any member may advance the record.  The member with the oldest node does
so, and when its session ends, the next one goes on, so that no push stays half applied because a host or a command has
died.

A push is two writes: the text as a node of its own, then the record that begins it, only as it was read.  Where the
record was lost, the text of the version that this host runs comes first: it is the way back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from supervisor.core.cluster import version_documents as documents
from supervisor.core.cluster.kept_text import KeptText
from supervisor.core.cluster.requests import Answer, Node, Request, Result, Verb
from supervisor.core.cluster.version_documents import APPLIED, CONFIG, CURRENT, text_path
from supervisor.core.cluster.versions import (
    OWN_FILE,
    Health,
    Hosts,
    Phase,
    Record,
    Report,
    State,
    Turn,
    Version,
    advance,
    begin,
    consistency,
    hurry,
    previous_good,
    take_back,
)

if TYPE_CHECKING:
    from supervisor.core.model.cluster_documents import OrderOutcome
    from supervisor.core.model.push_documents import PushedHost, PushedWord

GONE = 5.0
"""Seconds for which a host is missing before it counts as gone: a session that is made again is no absence."""
REFUSED_FOR = 5.0
"""Seconds until a node that ZooKeeper has refused is asked for again."""
DIRECTORIES = (CONFIG, APPLIED)
_LOOPBACK = re.compile(r"(localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:[0-9]+)?$")
"""A server's address that no other host can reach."""
UNREADABLE = "what /config/current holds cannot be read: another version of the supervisor may have written it"

NO_SENSE = "the order has numbers that make no sense"


class Push(NamedTuple):
    """An order to push `text`, or with `undo` the text of the version before.  `by`: its giver; `at`: when, in seconds
    since 1970; `mark`: unique to it; `timeout`: seconds that each step may take; `takes_back`: of an undo, the version
    whose push the giver has seen in progress, and whose hosts are to go back; 0: none."""

    id: str
    text: str
    by: str
    at: float
    mark: str
    max_unavailable: str = "1"
    timeout: float = 600.0
    undo: bool = False
    takes_back: int = 0


class There(NamedTuple):
    """The hosts.  `members`: those whose session lives, and the czxid of their node; `hosts`: all that belong;
    `doubled`: the member of this host's name is not of this session, so its reports would be taken for the other's;
    `why`: the reason that is shown for that, empty: the member may be this host's own, of a session that ends."""

    members: Mapping[str, int]
    hosts: frozenset[str]
    doubled: bool = False
    why: str = ""


@dataclass
class _Course:
    """How far a push is."""

    push: Push
    number: int = 0
    text: str | None = None
    origin: int = 0
    stored: bool = False
    kept: KeptText | None = None
    outcome: OrderOutcome | None = None


@dataclass
class _Read:
    """What was read.  `record` None: it was not read, or is unreadable; `version` -1: there is no such node; `own`:
    what this host's node holds, None: there is none."""

    record: Record | None = None
    version: int = -1
    reports: dict[str, Report] = field(default_factory=dict)
    own: str | None = None


class Pushes:
    """Moments are seconds of CLOCK_BOOTTIME."""

    def __init__(self, node: str, untrusted: str = "") -> None:
        """`untrusted`: why nothing is pushed or followed; empty: it is."""
        self.node, self.untrusted = node, untrusted
        self.problem = ""
        self.unread = True
        """The record has not been read on this connection.  It is to be read before a slot is taken."""
        self._read = _Read()
        self._stale: dict[Request, None] = {}
        self._connected = False
        self._out: Request | None = None
        self._report: Report | None = None
        self._plan: tuple[int, str] | None = None
        self._own_text: str | None = ""
        self._wants: tuple[int, str] | None = None
        self._text: tuple[int, str, str] | None = None
        self._ask_again: dict[Request, float] = {}
        """Reads that were refused, or have brought no sense, and when they are tried again."""
        self._courses: dict[str, _Course] = {}
        self._since: float | None = None
        """When the record was first seen as it is."""
        self._missed: dict[str, float] = {}
        self._refused_until = -1e9
        self._prune: list[int] | None = None
        self._pruned = 0

    # -- what happens ----------------------------------------------------------------------------------------------

    def connected(self) -> None:
        """All is read again: watches over a cut are not to be relied on.  The writes come first: what is read after
        them on the same connection is not older than they are."""
        if self.untrusted:
            self.unread = False
            return
        self._connected, self._out, self.unread = True, None, True
        self._ask_again = {}
        made = (Request(Verb.CREATE, path) for path in DIRECTORIES)
        self._stale = dict.fromkeys((*made, Request(Verb.GET, CURRENT), Request(Verb.CHILDREN, APPLIED)))
        self._stale |= dict.fromkeys(Request(Verb.GET, f"{APPLIED}/{host}") for host in self._read.reports)
        self._doubt_texts()

    def disconnected(self) -> None:
        """What was read stays: it is the best that is known."""
        self._connected, self._out, self.unread = False, None, True

    def changed(self, verb: Verb, path: str) -> bool:
        """A watch of an earlier request fired; whether it was one of these."""
        if path in (CURRENT, APPLIED) or (path.startswith(f"{APPLIED}/") and verb is Verb.GET):
            self._stale[Request(verb, path)] = None
        return path.startswith(DIRECTORIES)

    def told(
        self,
        report: Report,
        wants: tuple[int, str] | None,
        pushes: Iterable[Push],
        plan: tuple[int, str] | None = None,
        text: str | None = "",
    ) -> None:
        """The daemon said what it runs, which text it lacks, and what persons have ordered.

        `plan`: the number and digest of the version that its plan was read from; None: that of the report.  `text`:
        that of the version in the report, empty: it has none; None: it has not heard yet that it is asked for."""
        self._report, self._wants, self._plan = report, wants, plan or (report.number, report.digest)
        self._own_text = text
        if self._read.version < 0 and self._read.record is not None:
            self._read.record = self._without_node()
        self._courses = {one.id: self._courses.get(one.id) or _Course(one) for one in pushes}
        for course in self._open() if self.untrusted else ():
            course.outcome = {"id": course.push.id, "done": False, "error": self.untrusted}

    def answered(self, answer: Answer, now: float) -> None:
        """The request on its way was answered, or was given up."""
        request, result, node = answer.request, answer.result, answer.node
        if request != self._out:
            return
        self._out = None
        self._ask_again.pop(request, None)
        if result is Result.REFUSED:
            self.problem = f"{request.verb} {request.path}: {answer.reason}"
            if request.verb in (Verb.GET, Verb.CHILDREN):  # holds up nothing else
                self._ask_again[request] = now + REFUSED_FOR
            else:
                self._refused_until = now + REFUSED_FOR
            for course in self._open():
                course.outcome = {"id": course.push.id, "done": False, "error": self.problem}
            return
        if result is Result.UNKNOWN:
            reads = request.verb in (Verb.GET, Verb.CHILDREN) and not request.path.startswith(f"{CONFIG}/")
            if reads or request.path in DIRECTORIES:
                self._stale[request] = None
            if request.path == CURRENT:
                self._stale[Request(Verb.GET, CURRENT)] = None
            return
        self._refused_until = -1e9
        if self.problem != UNREADABLE:
            self.problem = ""
        self._take(request, result, node, answer.names, now)

    def _take(self, request: Request, result: Result, node: Node | None, names: tuple[str, ...], now: float) -> None:
        path = request.path
        if result is Result.NO_NODE and request.verb in (Verb.CREATE, Verb.CHILDREN):
            self._lost(request, now)
        elif request.verb is Verb.CHILDREN:
            self._listed(path, names)
        elif path == CURRENT and request.verb is Verb.GET:
            self._record_read(node, now)
        elif path == CURRENT:
            self._stale[Request(Verb.GET, CURRENT)] = None
        elif path.startswith(f"{APPLIED}/"):
            if request.verb is Verb.GET:
                self._report_read(path.removeprefix(f"{APPLIED}/"), node)
            else:
                self._stale[Request(Verb.GET, path)] = None
        elif path.startswith(f"{CONFIG}/"):
            self._text_answered(request, result, node)
            if request == self._lacking():
                self._ask_again[request] = now + REFUSED_FOR

    def _lost(self, request: Request, now: float) -> None:
        """A directory was removed, and is made again.  Where its parent is gone, too, the cluster is set up from the
        beginning."""
        self._doubt_texts()
        directory = APPLIED if request.path.startswith(APPLIED) else CONFIG
        made = Request(Verb.CREATE, directory)
        self._stale = {made: None, **self._stale, Request(Verb.CHILDREN, APPLIED): None}
        if request == made:
            self._refused_until = now + REFUSED_FOR

    def _doubt_texts(self) -> None:
        """ZooKeeper may have lost its data since texts were written."""
        for course in self._open():
            course.stored, course.kept = False, None

    def _record_read(self, node: Node | None, now: float) -> None:
        self.unread = False
        version = node.version if node is not None else -1
        if self._read.record is None or version != self._read.version:
            self._since = now
        self._read.version = version
        self._read.record = documents.record(node.data) if node is not None else self._without_node()
        self.problem = UNREADABLE if self._read.record is None else ""
        record = self._read.record
        for course in self._open():
            begun = next((one for one in record.history if one.mark == course.push.mark), None) if record else None
            if begun is not None:
                course.outcome = {"id": course.push.id, "done": True, "error": "", "number": begun.number}

    def _without_node(self) -> Record:
        """What holds where there is no record: nothing was pushed, or it was lost.  Then this host keeps what it runs:
        else all would go to their own files at one time."""
        runs = self._report
        if runs is None or not runs.number:
            return Record()
        version = Version(runs.number, runs.digest, state=State.IN_FORCE)
        return Record(runs.number, runs.number, history=(version,))

    def _listed(self, path: str, names: tuple[str, ...]) -> None:
        if path == CONFIG:
            numbers = (name for name in names if name.isascii() and name.isdecimal() and len(name) < 10)
            self._prune = sorted(map(int, numbers))
            return
        for name in names:
            if name not in self._read.reports:
                self._stale[Request(Verb.GET, f"{APPLIED}/{name}")] = None
        for name in self._read.reports.keys() - set(names):
            del self._read.reports[name]

    def _report_read(self, host: str, node: Node | None) -> None:
        if host == self.node:
            self._read.own = node.data if node is not None else None
        found = documents.report(node.data) if node is not None else None
        if found is not None:
            self._read.reports[host] = found
        else:
            self._read.reports.pop(host, None)

    def _text_answered(self, request: Request, result: Result, node: Node | None) -> None:
        number = int(request.path.removeprefix(f"{CONFIG}/"))
        if request.verb is Verb.DELETE:
            return
        text, mark = documents.text_and_mark(node.data) if node is not None else ("", "")
        if request.verb is Verb.GET and node is not None:
            self._text = number, documents.digest_of(text), text
        for course in self._open()[:1]:
            if course.kept is not None and number == course.kept.number:
                course.kept.answered(request, result, node)
            elif request.verb is Verb.CREATE and result is Result.DONE:
                course.stored = True
            elif request.verb is Verb.GET and number == course.origin and course.text is None:
                course.text = text
                if not text:
                    error = f"version {number} is no longer in ZooKeeper"
                    course.outcome = {"id": course.push.id, "done": False, "error": error}
            elif request.verb is Verb.GET and number == course.number:
                course.stored = mark == course.push.mark
                course.number += not course.stored
            elif request.verb is Verb.CREATE:
                self._stale[Request(Verb.GET, request.path)] = None

    # -- what follows ----------------------------------------------------------------------------------------------

    def next_request(self, there: There, now: float) -> Request | None:
        """The request to send now; None while one is on its way or there is nothing to ask."""
        self._see(there, now)
        if self._out is not None or not self._connected or now < self._refused_until:
            return None
        allowed = (one for one in self._requests(there, now) if self._ask_again.get(one, now) <= now)
        self._out = request = next(allowed, None)
        if request is not None:
            self._stale.pop(request, None)
        return request

    def _see(self, there: There, now: float) -> None:
        """Since when hosts are missed that take part."""
        record = self._read.record
        taking = record.turns if record is not None else {}
        self._missed = {host: self._missed.get(host, now) for host in taking if host not in there.members}

    def _requests(self, there: There, now: float) -> Iterator[Request]:
        yield from self._stale
        yield from (one for one in self._ask_again if not one.path.startswith(f"{CONFIG}/") or one.path == CURRENT)
        record, report = self._read.record, self._report
        if record is None or report is None:
            return
        own, text = f"{APPLIED}/{self.node}", documents.dump_report(report)
        there_is = self._read.own is not None
        if self._read.own != text and not there.doubled and (record.number or report.number or there_is):
            yield Request(Verb.SET if there_is else Verb.CREATE, own, text)
        lacking = self._lacking()
        if lacking is not None:
            yield lacking
        for course in self._open():
            if there.doubled:
                if there.why:
                    course.outcome = {"id": course.push.id, "done": False, "error": there.why}
                continue
            request = self._pushed(course, record)
            if request is not None:
                yield request
        if (
            self.node in there.members
            and not there.doubled
            and self.node == min(there.members, key=lambda host: there.members[host])
        ):
            yield from self._lead(record, there, now)

    def _lead(self, record: Record, there: There, now: float) -> Iterator[Request]:
        """This member advances the push, and removes texts of which the record knows nothing."""
        gone = frozenset(host for host, since in self._missed.items() if now - since >= GONE)
        late = self._since is not None and now - self._since >= record.timeout
        after = advance(record, Hosts(self._read.reports, frozenset(there.members), gone, late))
        if after is not None:
            yield Request(Verb.SET, CURRENT, documents.dump_record(after), self._read.version)
        elif record.phase is Phase.SETTLED and record.number != self._pruned:
            yield from self._removals(record) if self._prune is not None else (Request(Verb.CHILDREN, CONFIG),)

    def _removals(self, record: Record) -> Iterator[Request]:
        """Texts of which the record knows nothing: their versions are too old, or their pushes never began."""
        while self._prune:
            number = self._prune.pop(0)
            if number <= record.number and record.version(number) is None:
                yield Request(Verb.DELETE, text_path(number))
        self._prune, self._pruned = None, record.number

    def _pushed(self, course: _Course, record: Record) -> Request | None:
        """The next step of a push; None: it has an outcome, or waits for the daemon."""
        push = course.push
        if push.takes_back and not course.number:
            step = self._taken_back(course, record)
            if step is not None or course.outcome is not None:
                return step
        if not course.number:
            refused = self._refusal(push, record)
            if refused:
                course.outcome = {"id": push.id, "done": False, "error": refused}
                return None
            course.number = record.number + 1
            course.text = None if push.undo else push.text
        if record.phase is not Phase.SETTLED:
            course.outcome = {"id": push.id, "done": False, "error": holder(record)}
            return None
        before = previous_good(record)
        if course.text is None and before is None:  # the record was lost
            course.outcome = {"id": push.id, "done": False, "error": nothing_before(record)}
            return None
        if course.text is None and before is not None:
            course.origin = before.number
            return Request(Verb.GET, text_path(before.number))
        text = course.text or ""
        digest = documents.digest_of(text)
        if digest == record.digest(record.in_force) and not self._is_lost(record):
            course.outcome = {"id": push.id, "done": True, "error": "", "number": record.in_force}
            return None
        if course.number <= record.number:  # another push came first, and has ended
            course.number, course.stored = record.number + 1, False
        if self._is_lost(record):
            kept, own = self._kept(course, record), self._own_text
            if own is None:
                return None
            if not kept.done and documents.digest_of(own) == kept.digest:
                return kept.request(own)
        if not course.stored:
            return Request(Verb.CREATE, text_path(course.number), documents.dump_text(text, push.mark))
        version = Version(course.number, digest, push.by, self.node, push.at, push.mark, course.origin)
        begun = documents.dump_record(begin(record, version, push.max_unavailable, push.timeout))
        if documents.record(begun) is None:  # else no host could read it
            course.outcome = {"id": push.id, "done": False, "error": NO_SENSE}
            return None
        if self._read.version < 0:
            return Request(Verb.CREATE, CURRENT, begun)
        return Request(Verb.SET, CURRENT, begun, self._read.version)

    @staticmethod
    def _kept(course: _Course, record: Record) -> KeptText:
        """The text of the version that this host runs, of which the record is lost."""
        kept, runs = course.kept, (record.number, record.digest(record.number))
        if kept is None or (kept.number, kept.digest) != runs:
            kept = course.kept = KeptText(*runs, course.push.mark)
        return kept

    def _taken_back(self, course: _Course, record: Record) -> Request | None:
        """The step that turns a push in progress back, or that waits less for the way back.

        None without an outcome: the version has come into force before that, so that the one before it is to be
        pushed."""
        push, number = course.push, course.push.takes_back
        found = record.version(number)
        state = found.state if found is not None else None
        hurries = state is State.RETURNING and push.timeout < record.timeout
        if state is State.ROLLING or hurries:
            back = take_back(record, push.by, self.node, push.max_unavailable, push.timeout)
            after = documents.dump_record(hurry(record, push.timeout) if hurries else back)
            if documents.record(after) is not None:
                return Request(Verb.SET, CURRENT, after, self._read.version)
            course.outcome = {"id": push.id, "done": False, "error": NO_SENSE}
        elif state in (State.RETURNING, State.ROLLED_BACK):
            course.outcome = {"id": push.id, "done": True, "error": "", "number": number}
        elif state is not State.IN_FORCE:
            course.outcome = {"id": push.id, "done": False, "error": f"version {number} is not being rolled out"}
        return None

    @staticmethod
    def _refusal(push: Push, record: Record) -> str:
        if record.phase is not Phase.SETTLED:
            return holder(record)
        if push.undo and previous_good(record) is None:
            return nothing_before(record)
        return documents.refusal(push.text)

    def _open(self) -> list[_Course]:
        return [one for one in self._courses.values() if one.outcome is None]

    # -- what is known -----------------------------------------------------------------------------------------------

    def outcomes(self) -> list[OrderOutcome]:
        """What became of the pushes that are listed: whether they began."""
        return [one.outcome for one in self._courses.values() if one.outcome is not None]

    def turn(self) -> Turn | None:
        """What this host is to run; None: not known."""
        return self._read.record.turn(self.node) if self._read.record is not None else None

    def behind(self) -> str:
        """Why this host takes no slot: it does not run what it should.  Empty: it does, or its turn has come just now.

        A host that was away would start instances by rules that are over, or compete with hosts that have the new
        ones; one in its turn keeps what it has.  A host that is told to change has its old rules until its daemon has
        read the new plan, and they may be of a version that is no longer in force."""
        record, report = self._read.record, self._report
        if self.untrusted:
            return ""
        if record is None:
            return self.problem or "the configuration in force has not been read yet"
        if report is None:
            return "its daemon is too old for the configuration that was pushed" if record.in_force else ""
        numbers = (record.in_force, record.number if record.phase is not Phase.SETTLED else record.in_force)
        known = {(number, record.digest(number)) for number in numbers}
        same = (report.number, report.digest) in known and self._plan in known
        if same and (report.health is Health.READY or self.node in record.turns):
            return ""
        return f"it does not run version {record.turn(self.node).number} of the configuration: " + (
            report.reason or "it changes to it"
        )

    def word(self, there: There) -> PushedWord | None:
        """What the daemon and commands need to know; None: nothing is known."""
        record = self._read.record
        if record is None or (self._read.version < 0 and self._report is None):
            return None
        turn = record.turn(self.node)
        names = sorted(there.hosts | there.members.keys())
        word: PushedWord = {
            "turn": {"number": turn.number, "digest": record.digest(turn.number), "seq": turn.seq},
            "number": record.number,
            "in_force": record.in_force,
            "phase": record.phase.value,
            "consistency": round(consistency(record, self._read.reports, names), 4),
            "hosts": [self._host(record, host, host in there.members) for host in names],
            "history": [
                {
                    "number": one.number, "digest": one.digest, "by": one.by, "host": one.host, "at": one.at,
                    "origin": one.origin, "state": one.state.value, "reason": one.reason, "failed_on": one.failed_on,
                }
                for one in record.history
            ],
            "problem": self.problem or self._lost_problem() or self._text_problem(),
        }  # fmt: skip
        text = self._text_of(*self._wants) if self._wants is not None else None
        if text is not None:
            word["text"] = text
        if self._is_lost(record) and self._open():
            word["keep"] = True
        return word

    def _host(self, record: Record, host: str, here: bool) -> PushedHost:
        report = self._read.reports.get(host) or OWN_FILE
        return {
            "node": host, "here": here, "told": record.turn(host).number, "number": report.number,
            "health": report.health.value, "reason": report.reason, "differs": report.differs,
        }  # fmt: skip

    def _lacking(self) -> Request | None:
        """For the text that the daemon lacks; None: there is none, or it is here."""
        if self._wants is None or self._text_of(*self._wants) is not None:
            return None
        return Request(Verb.GET, text_path(self._wants[0]))

    def _is_lost(self, record: Record) -> bool:
        """There was a record: this host runs a version that was in one."""
        return self._read.version < 0 and record.number > 0

    def _lost_problem(self) -> str:
        if self._read.record is None or not self._is_lost(self._read.record):
            return ""
        return (
            "ZooKeeper has lost which version is in force: each host keeps the one that it runs; `supervisor cluster "
            "push` begins anew"
        )

    def _text_problem(self) -> str:
        lacking = self._lacking()
        if lacking is None or lacking not in self._ask_again:
            return ""
        return f"the text of version {lacking.path.rpartition('/')[2]} in ZooKeeper cannot be read, or is another one"

    def _text_of(self, number: int, digest: str) -> str | None:
        if self._text is not None and self._text[:2] == (number, digest):
            return self._text[2]
        return None


def untrusted(hosts: str, *proofs: str) -> str:
    """Why a host runs no pushed version; empty: it may.

    A version is a list of commands.  Where any client that reaches the servers can write one, it could run anything on
    every host.  `hosts`: the servers; `proofs`: files by which a member shows that it is one, or empty."""
    servers = hosts.partition("/")[0].split(",")
    if any(proofs) or all(_LOOPBACK.match(one.strip()) for one in servers):
        return ""
    return (
        "a push needs cluster.credentials_file, or cluster.certificate and private_key, on every host: without them "
        "any client that reaches ZooKeeper could run commands on all hosts"
    )


def nothing_before(record: Record) -> str:
    """Why there is nothing to go back to."""
    return "no version was in force before the present one" if record.in_force else "nothing was pushed yet"


def holder(record: Record) -> str:
    """The push that is under way, for the refusal of another one."""
    one = record.version(record.number)
    who = f" by {one.by} on {one.host}" if one is not None else ""
    verb = "is being rolled out" if record.phase is Phase.ROLLING else "is being rolled back"
    at = ", ".join(sorted(record.turns)) or "no host"
    rolling = record.phase is Phase.ROLLING
    hint = (
        "`supervisor cluster undo` takes it back"
        if rolling
        else "`supervisor cluster undo --timeout 30s` shortens the wait for it"
    )
    return f"version {record.number}, pushed{who}, {verb}; told so far: {at}; {hint}"
