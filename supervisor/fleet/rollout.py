"""Brings hosts to what a command wants: all at once, or in waves that stop at the first one with a failure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from supervisor.core.model.fleet_spec import FleetHost
from supervisor.fleet.host import MARGIN, Done, Host, Wanted
from supervisor.fleet.parallel import Outcome, Work, on_all
from supervisor.fleet.problems import HostProblem, Kind
from supervisor.fleet.steps import Found, Todo
from supervisor.fleet.waves import waves
from supervisor.fleet.wheelhouse import DOWNLOAD_WITHIN, Release

Rule = Callable[[Found, str], Todo]
"""What was found, and the release that fits the host (empty where the command brings none), to steps."""
Tell = Callable[[FleetHost, str], None]
Outcomes = dict[str, Outcome[Done]]
WHEELS = "get the wheels"


class NotBegun(HostProblem):
    """The host was left as it is, because a wave before it had a failure."""

    def __init__(self) -> None:
        super().__init__(Kind.FAILED, "not begun: a wave before it had a failure", "")


def at_once(hosts: Sequence[FleetHost], rule: Rule, wanted: Wanted, tell: Tell, done: Tell) -> Outcomes:
    """All hosts at once: for what starts with nothing, or only stops or starts."""

    def work(one: Work) -> Done:
        return _change(one, rule, wanted)

    return on_all(hosts, work, tell, lambda host, outcome: done(host, told(outcome)))


def in_waves(
    hosts: Sequence[FleetHost], rule: Rule, wanted: Wanted, tell: Tell, done: Tell, share: int | str
) -> Outcomes:
    """Look at all hosts; those that need a change get it wave by wave.  A host without a connection stops nothing: that
    says nothing about what is brought."""

    def look(one: Work) -> Done:
        with Host(one, wanted.directory) as host:
            return _looked(one, host, rule, wanted)[0]

    def work(one: Work) -> Done:
        return _change(one, rule, wanted)

    def finished(host: FleetHost, outcome: Outcome[Done]) -> None:
        if outcome.value is None or not outcome.value.todo.steps:
            done(host, told(outcome))

    outcomes: Outcomes = on_all(hosts, look, tell, finished)
    waiting = [host for host in hosts if (value := outcomes[host.name].value) is not None and value.todo.steps]
    for number, wave in enumerate(planned := waves(waiting, share), 1):
        for host in wave:
            tell(host, f"wave {number} of {len(planned)}")
        now = on_all(wave, work, tell, lambda host, outcome: done(host, told(outcome)))
        outcomes |= now
        waiting = waiting[len(wave) :]
        if any(outcome.problem is not None for outcome in now.values()):
            break
    return outcomes | {host.name: Outcome(None, NotBegun()) for host in waiting}


def _looked(work: Work, host: Host, rule: Rule, wanted: Wanted) -> tuple[Done, Release | None]:
    found, status = host.look(pending=wanted.config is not None)
    release = None
    if wanted.wheelhouse is not None:
        with work.step(WHEELS, DOWNLOAD_WITHIN + MARGIN):
            release = wanted.wheelhouse.release(found.target)
    todo = rule(found, release.name if release is not None else "")
    if todo.problem:
        message, _, hint = todo.problem.partition(": ")
        raise HostProblem(Kind.FAILED, message, hint)
    return Done(found, todo, status), release


def _change(work: Work, rule: Rule, wanted: Wanted) -> Done:
    with Host(work, wanted.directory) as host:
        looked, release = _looked(work, host, rule, wanted)
        try:
            status = host.carry_out(looked.todo, wanted, looked.found, release)
        except HostProblem as problem:
            failed_in = work.step_name
            try:
                undone = host.put_back(looked.found) if problem.kind is Kind.FAILED else ""
            except HostProblem as second:
                undone = f"and putting back the former state failed, too: {second.message}"
            finally:
                work.step_name = failed_in
            if undone:
                problem.message += f"; {undone}"
            raise
        return Done(looked.found, looked.todo, status or looked.status)


def told(outcome: Outcome[Done]) -> str:
    """What became of a host, in one line."""
    if outcome.problem is not None:
        return f"{outcome.step}: {outcome.problem.message}" if outcome.step else outcome.problem.message
    done = outcome.value
    assert done is not None
    words = [f"done: {', '.join(done.todo.steps)}" if done.todo.steps else "nothing to do"]
    return "; ".join([*words, *done.todo.notes])
