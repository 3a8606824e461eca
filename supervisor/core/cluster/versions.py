"""Versions of the configuration: which hosts may change now, when a version is in force, and when all go back.

One record drives a push.  Whichever member advances it calls `advance` with what the hosts have reported, and replaces
the record only as it was read, so that two members that advance at a time do no harm, and the death of one delays
nothing.

A version goes out by waves: no more hosts change at a time than `max_unavailable`, and one that is not ready anyway
goes first, because its change takes nothing away.  When the first host fails, leaves while it changes, or takes too
long, all hosts go back, again by waves.  A host that is away is not waited for: it follows the record when it is back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, NamedTuple

KEPT = 20
"""Versions that the record tells of, beside the one in force."""


class Phase(StrEnum):
    """Where a push is."""

    SETTLED = "settled"
    ROLLING = "rolling"
    RETURNING = "returning"
    """The newest version has failed, and the hosts that have it go back."""


class State(StrEnum):
    """What has become of a version."""

    ROLLING = "rolling"
    IN_FORCE = "in force"
    REPLACED = "replaced"
    """It was in force, and a later one is."""
    RETURNING = "rolling back"
    ROLLED_BACK = "rolled back"


class Health(StrEnum):
    """How a host is with the version that it is to run."""

    READY = "ready"
    CHANGING = "changing"
    FAILED = "failed"


class Version(NamedTuple):
    """One version in the record.  `number` 0, which is in no record: each host's own file.

    `by`, `host`: the giver of the push and where; `at`: when, in seconds since 1970; `mark`: unique to the push;
    `origin`: the version whose text it is, of an undo, else 0; `reason`, `failed_on`: why and where it failed; no host
    where a person took it back."""

    number: int
    digest: str
    by: str = ""
    host: str = ""
    at: float = 0.0
    mark: str = ""
    origin: int = 0
    state: State = State.ROLLING
    reason: str = ""
    failed_on: str = ""


class Turn(NamedTuple):
    """The version that a host is to run.  `seq`: the step of the record that says so; a report of an earlier step does
    not count, because the host may not have read it.  `given_up`: it is not waited for any more."""

    number: int
    seq: int = 0
    given_up: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """`number`: of the newest version; `in_force`: what hosts run that have no turn; `turns`: of the newest push, by
    host; `timeout`: seconds that a step may take; `history`: oldest first."""

    number: int = 0
    in_force: int = 0
    phase: Phase = Phase.SETTLED
    seq: int = 0
    turns: Mapping[str, Turn] = field(default_factory=dict)
    max_unavailable: str = "1"
    timeout: float = 600.0
    history: tuple[Version, ...] = ()

    def version(self, number: int) -> Version | None:
        """What is known of a version; None: nothing, or no longer."""
        return next((one for one in self.history if one.number == number), None)

    def digest(self, number: int) -> str:
        """That of a version's text; empty of each host's own file."""
        found = self.version(number)
        return found.digest if found is not None else ""

    def turn(self, host: str) -> Turn:
        """What a host is to run."""
        return self.turns.get(host) or Turn(self.in_force)

    @property
    def goal(self) -> int:
        """The version on which all hosts are to end, as far as is known."""
        return self.number if self.phase is Phase.ROLLING else self.in_force


class Report(NamedTuple):
    """What a host reports: the version that it runs or changes to, and the last `seq` that it has read.

    `differs`: its own file is another one than that version."""

    number: int
    digest: str = ""
    seq: int = 0
    health: Health = Health.READY
    reason: str = ""
    differs: bool = False


OWN_FILE = Report(0)
"""Of a host that has said nothing."""


@dataclass(frozen=True, slots=True)
class Hosts:
    """What a member that advances the record knows of the hosts.  `present`: those whose session lives; `gone`: those
    that have been away for a while; `late`: the record is as it is for longer than its timeout."""

    reports: Mapping[str, Report]
    present: frozenset[str]
    gone: frozenset[str] = frozenset()
    late: bool = False


def health(record: Record, host: str, reports: Mapping[str, Report]) -> Health:
    """How a host is with what it is to run; what it says of anything else is no answer yet."""
    report, turn = reports.get(host), record.turn(host)
    if report is None or (report.number, report.digest) != (turn.number, record.digest(turn.number)):
        return Health.CHANGING
    return report.health if report.seq >= turn.seq else Health.CHANGING


def begin(record: Record, version: Version, max_unavailable: str, timeout: float) -> Record:
    """A push begins; `record` is settled."""
    return Record(
        version.number, record.in_force, Phase.ROLLING, record.seq + 1, {}, max_unavailable, timeout,
        _bounded((*record.history, version), record.in_force),
    )  # fmt: skip


def take_back(record: Record, by: str, host: str, max_unavailable: str, timeout: float) -> Record:
    """A person ends a push that is in progress: all go back, by waves of this size.  `host`: where it was ordered."""
    reason = f"taken back by {by} on {host}" if by else f"taken back on {host}"
    return _failed(replace(record, max_unavailable=max_unavailable, timeout=timeout), "", reason)


def hurry(record: Record, timeout: float) -> Record:
    """Wait for a host that does not come back at most `timeout` seconds, as a user has ordered."""
    return _step(record, timeout=timeout)


def advance(record: Record, hosts: Hosts) -> Record | None:
    """The record with its next step; None: there is nothing to do yet."""
    if record.phase is Phase.ROLLING:
        return _roll(record, hosts)
    if record.phase is Phase.RETURNING:
        return _return(record, hosts)
    return None


def limit(max_unavailable: str, hosts: int) -> int:
    """How many of so many hosts may be in change: a number or a part ("25%"), at least 1."""
    if max_unavailable.endswith("%"):
        return max(1, hosts * int(max_unavailable[:-1]) // 100)
    return max(1, int(max_unavailable))


def consistency(record: Record, reports: Mapping[str, Report], hosts: Iterable[str]) -> float:
    """The part of these hosts that runs the version on which all are to end.  One that has said nothing runs its own
    file."""
    every = list(hosts)
    wanted = record.goal, record.digest(record.goal), Health.READY
    said = (reports.get(host) or OWN_FILE for host in every)
    return sum((one.number, one.digest, one.health) == wanted for one in said) / len(every) if every else 1.0


def previous_good(record: Record) -> Version | None:
    """The newest version that was in force before the present one."""
    return next((one for one in reversed(record.history) if one.state is State.REPLACED), None)


def _roll(record: Record, hosts: Hosts) -> Record | None:
    told = {host for host, turn in record.turns.items() if turn.number == record.number}
    changing = set()
    for host in sorted(told):
        found = health(record, host, hosts.reports)
        if found is Health.FAILED:
            return _failed(record, host, hosts.reports[host].reason)
        if found is Health.CHANGING:
            if host in hosts.gone:
                return _failed(record, host, "it went away while it changed")
            changing.add(host)
    if hosts.late and changing:
        return _failed(record, min(changing), f"it was not ready after {record.timeout:g} s")
    waiting = hosts.present - told
    if not waiting and not changing:
        return _settled(record, State.IN_FORCE)
    unready = {host for host in waiting if health(record, host, hosts.reports) is not Health.READY}
    return _grant(record, waiting, changing, unready, record.number, len(hosts.present))


def _failed(record: Record, host: str, reason: str) -> Record:
    """All go back.  The turns stay as they are until the hosts are told, by waves."""
    return _step(
        record, phase=Phase.RETURNING,
        history=_changed(record, record.number, state=State.RETURNING, reason=reason, failed_on=host),
    )  # fmt: skip


def _return(record: Record, hosts: Hosts) -> Record | None:
    """One that is gone need not be told: it finds the version in force when it is back.  A host that cannot go back
    either keeps no other one on the failed version."""
    gone = {host for host in record.turns if host in hosts.gone}
    turns = {host: turn for host, turn in record.turns.items() if host not in gone}
    back = {host for host, turn in turns.items() if turn.number == record.in_force and not turn.given_up}
    changing = {host for host in back if health(record, host, hosts.reports) is Health.CHANGING}
    if hosts.late and changing:
        return _step(record, turns={**turns, **{h: turns[h]._replace(given_up=True) for h in changing}})
    waiting = {host for host, turn in turns.items() if turn.number != record.in_force}
    if not waiting and not changing:
        return _settled(record, State.ROLLED_BACK)
    unready = {host for host in waiting if health(record, host, hosts.reports) is not Health.READY}
    without = _step(record, turns=turns) if gone else record
    granted = _grant(without, waiting, changing, unready, record.in_force, len(hosts.present))
    return granted or (without if gone else None)


def _grant(
    record: Record, waiting: Iterable[str], changing: set[str], unready: set[str], number: int, hosts: int
) -> Record | None:
    """Tell as many of the waiting hosts to change as may; None: none may now.

    `changing`: those that were told and are not ready; `unready`: those that wait and are not ready either."""
    most, turns = limit(record.max_unavailable, hosts), dict(record.turns)
    told, missing = len(changing), len(changing | unready)
    for host in sorted(waiting, key=lambda host: (host not in unready, host)):
        room = told < most if host in unready else missing < most
        if room:
            turns[host] = Turn(number, record.seq + 1)
            told, missing = told + 1, missing + (host not in unready)
    return _step(record, turns=turns) if turns != record.turns else None


def _settled(record: Record, state: State) -> Record:
    """The push has ended; its turns are no longer needed."""
    good = state is State.IN_FORCE
    history = _changed(record, record.number, state=state)
    if good:
        history = tuple(one._replace(state=State.REPLACED) if one.number == record.in_force else one for one in history)
    in_force = record.number if good else record.in_force
    return _step(record, phase=Phase.SETTLED, in_force=in_force, turns={}, history=history)


def _step(record: Record, **changes: Any) -> Record:
    return replace(record, seq=record.seq + 1, **changes)


def _changed(record: Record, number: int, **changes: Any) -> tuple[Version, ...]:
    return tuple(one._replace(**changes) if one.number == number else one for one in record.history)


def _bounded(history: tuple[Version, ...], in_force: int) -> tuple[Version, ...]:
    """The newest ones, the one in force, and one to go back to from that."""
    earlier = history[:-KEPT]
    good = next((one for one in reversed(history) if one.state is State.REPLACED), None)
    return (*(one for one in earlier if one.number == in_force or one is good), *history[-KEPT:])
