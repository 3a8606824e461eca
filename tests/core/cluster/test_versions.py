"""Versions of the configuration: tables of single steps, and whole pushes with hosts that fail, die and come back."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.core.cluster import versions
from supervisor.core.cluster.versions import (
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
    limit,
    previous_good,
)

ONE = Version(1, "d1", state=State.IN_FORCE)
BEFORE = Record(1, 1, Phase.SETTLED, 4, history=(ONE,))
ROLLING = begin(BEFORE, Version(2, "d2", by="root"), "1", 600.0)
ON_1 = Report(1, "d1")


def on(number: int, seq: int = 99, health: Health = Health.READY, reason: str = "") -> Report:
    return Report(number, f"d{number}", seq, health, reason)


def hosts(reports: Mapping[str, Report], gone: str = "", late: bool = False, away: str = "") -> Hosts:
    return Hosts(reports, frozenset(reports) - set(gone) - set(away), frozenset(gone), late)


def told(record: Record | None) -> dict[str, int]:
    assert record is not None
    return {host: turn.number for host, turn in record.turns.items()}


def test_a_push_tells_one_host_after_the_other_and_is_then_in_force() -> None:
    reports = dict.fromkeys("abc", ON_1)
    record = ROLLING
    for host in "abc":
        record = advance(record, hosts(reports)) or record
        assert set(told(record)) == set("abc"[: "abc".index(host) + 1])
        assert advance(record, hosts(reports)) is None, "not before it is ready"
        reports[host] = on(2, record.seq, Health.CHANGING)
        assert advance(record, hosts(reports)) is None
        reports[host] = on(2, record.seq)
    record = advance(record, hosts(reports)) or record
    assert (record.phase, record.in_force, record.turns) == (Phase.SETTLED, 2, {})
    assert [one.state for one in record.history] == [State.REPLACED, State.IN_FORCE]
    assert previous_good(record) == replace_state(ONE, State.REPLACED)
    assert advance(record, hosts(reports)) is None


def replace_state(version: Version, state: State) -> Version:
    return version._replace(state=state)


def test_several_hosts_at_a_time_where_that_is_allowed() -> None:
    reports = dict.fromkeys("abcd", ON_1)
    for share, number in (("2", 2), ("50%", 2), ("10%", 1), ("0", 1), ("9", 4)):
        assert len(told(advance(replace(ROLLING, max_unavailable=share), hosts(reports)))) == number
    assert limit("34%", 3) == 1


def test_a_host_that_is_not_ready_anyway_goes_first_and_takes_the_place_of_another() -> None:
    reports = dict.fromkeys("abc", ON_1) | {"c": on(1, health=Health.FAILED)}
    assert set(told(advance(ROLLING, hosts(reports)))) == {"c"}
    assert set(told(advance(replace(ROLLING, max_unavailable="2"), hosts(reports)))) == {"c", "a"}
    silent = hosts(reports | {"a": Report(0)})
    assert set(told(advance(ROLLING, silent))) == {"a"}


@pytest.mark.parametrize(
    ("report", "gone", "late", "reason"),
    [
        (on(2, health=Health.FAILED, reason="web is not ready"), "", False, "web is not ready"),
        (on(2, health=Health.CHANGING), "b", False, "it went away while it changed"),
        (on(2, health=Health.CHANGING), "", True, "it was not ready after 600 s"),
        (ON_1, "", True, "it was not ready after 600 s"),
    ],
)
def test_a_failure_turns_all_back(report: Report, gone: str, late: bool, reason: str) -> None:
    at_b = replace(ROLLING, turns={"a": Turn(2, 5), "b": Turn(2, 6)})
    reports = {"a": on(2), "b": report, "c": ON_1}
    record = advance(at_b, hosts(reports, gone, late))
    assert record is not None and record.phase is Phase.RETURNING
    assert record.history[-1]._replace(by="") == Version(2, "d2", state=State.RETURNING, reason=reason, failed_on="b")
    for _ in range(9):
        record = advance(record, hosts(reports, gone)) or record
        for host, turn in record.turns.items():
            if host not in gone and turn.number == 1:
                reports[host] = on(1, record.seq)
    assert (record.phase, record.in_force, record.turns) == (Phase.SETTLED, 1, {})
    assert record.history[-1].state is State.ROLLED_BACK and record.history[0].state is State.IN_FORCE
    assert previous_good(record) is None


def test_a_report_from_before_the_step_is_no_answer() -> None:
    """A host that has not heard of its turn yet looks as if it had gone back already."""
    record = replace(ROLLING, phase=Phase.RETURNING, turns={"a": Turn(1, 8)}, seq=8)
    assert advance(record, hosts({"a": on(1, 7)})) is None
    assert advance(record, hosts({"a": on(1, 8)})) is not None


def test_a_host_that_cannot_go_back_keeps_no_other_from_it() -> None:
    record = replace(ROLLING, phase=Phase.RETURNING, turns={"a": Turn(1, 8), "b": Turn(2, 6)}, seq=8)
    failed = {"a": on(1, 8, Health.FAILED, "no such user"), "b": on(2)}
    assert told(advance(record, hosts(failed))) == {"a": 1, "b": 1}
    silent = {"a": on(2), "b": on(2)}
    assert advance(record, hosts(silent)) is None
    given_up = advance(record, hosts(silent, late=True))
    assert given_up is not None and given_up.turns["a"].given_up
    assert told(advance(given_up, hosts(silent))) == {"a": 1, "b": 1}


def test_hosts_that_are_gone_are_not_told_to_go_back() -> None:
    record = replace(ROLLING, phase=Phase.RETURNING, turns={"a": Turn(2, 5), "b": Turn(1, 6), "c": Turn(1, 6)}, seq=8)
    reports = {"a": on(2), "b": on(2), "c": on(2)}
    after = advance(record, hosts(reports, gone="a"))
    assert told(after) == {"b": 1, "c": 1} and after is not None and after.phase is Phase.RETURNING
    ended = advance(record, hosts(reports, gone="abc"))
    assert ended is not None and ended.phase is Phase.SETTLED


def test_who_is_away_is_not_waited_for() -> None:
    record = replace(ROLLING, turns={"a": Turn(2, 5)})
    settled = advance(record, hosts({"a": on(2), "b": ON_1}, gone="b"))
    assert settled is not None and settled.in_force == 2 and settled.turn("b").number == 2
    absent = advance(record, hosts({"a": on(2, health=Health.CHANGING), "b": ON_1}, away="a"))
    assert absent is None, "a short absence is none"


def test_consistency() -> None:
    reports = {"a": on(2), "b": ON_1, "c": on(2, health=Health.CHANGING), "d": Report(2, "other")}
    assert consistency(ROLLING, reports, "abcd") == 0.25
    assert consistency(BEFORE, reports, "abcd") == 0.25
    assert consistency(ROLLING, reports, "abe") == pytest.approx(1 / 3)
    assert consistency(ROLLING, reports, "") == 1.0
    assert consistency(Record(), {}, "ab") == 1.0, "nothing was pushed"


def test_the_history_is_bounded_and_keeps_what_may_be_needed() -> None:
    record = replace(BEFORE, history=(Version(0, "d0", state=State.REPLACED), ONE))
    for number in range(2, 100):
        record = begin(record, Version(number, f"d{number}"), "1", 1.0)
        record = versions._settled(record, State.ROLLED_BACK)
    assert len(record.history) == 22
    assert [one.number for one in record.history[:2]] == [0, 1]
    assert record.version(1) is not None and record.version(5) is None and record.digest(5) == ""


# -- whole pushes ----------------------------------------------------------------------------------------------------


@dataclass
class Machine:
    """A host as the record sees it: what it runs, what it heard last, and what becomes of it with each version."""

    good: frozenset[int]
    runs: int = 1
    seq: int = 0
    health: Health = Health.READY
    alive: bool = True
    deaf: bool = False
    heard: Turn = field(default_factory=lambda: Turn(1))

    def report(self) -> Report:
        return on(self.runs, self.seq, self.health)

    def turn(self, record: Record, host: str) -> None:
        """It hears the record, and begins to change."""
        turn = record.turn(host)
        if not self.alive or self.deaf:
            return
        self.seq = record.seq
        if turn.number != self.runs:
            self.runs, self.health = turn.number, Health.CHANGING

    def end(self) -> None:
        """Its change ends."""
        if self.alive and self.health is Health.CHANGING:
            self.health = Health.READY if self.runs in self.good else Health.FAILED


STEPS = ("advance", "hear", "end", "die", "return", "deafen", "late", "report")
GOOD = (frozenset({1, 2}), frozenset({1, 2}), frozenset({1}))
Choose = Callable[[Sequence[Any]], Any]
Rule = Callable[[Record, Hosts], Record | None]


def play(choose: Choose, rule: Rule) -> None:
    """A push over hosts of which some fail with the version, die, come back or hear nothing, and whose record is
    advanced at any time by one who knows only what was reported before."""
    names = "abcde"[: choose(range(1, 6))]
    most = choose((1, 2, 3))
    machines = {name: Machine(choose(GOOD)) for name in names}
    record = begin(BEFORE, Version(2, "d2"), str(most), 1.0)
    reports = {name: one.report() for name, one in machines.items()}

    def step(late: bool = False) -> None:
        nonlocal record
        present = frozenset(name for name, one in machines.items() if one.alive)
        after = rule(record, Hosts(dict(reports), present, frozenset(names) - present, late))
        if after is None:
            return
        assert after.seq > record.seq
        new = {host for host, turn in after.turns.items() if turn != record.turns.get(host) and not turn.given_up}
        changing = {
            host for host, turn in after.turns.items()
            if turn.number == after.goal and not turn.given_up and host in present
            and versions.health(after, host, reports) is Health.CHANGING
        }  # fmt: skip
        assert not new or len(changing) <= most, "more in change than allowed"
        if after.phase is Phase.SETTLED and after.in_force == 2:
            assert all(machines[host].runs == 2 for host in present), "in force before all have it"
        record = after

    for _ in range(choose(range(60))):
        verb, name = choose(STEPS), choose(names)
        machine = machines[name]
        if verb == "advance":
            step()
        elif verb == "late":
            step(late=True)
        elif verb == "hear":
            machine.turn(record, name)
        elif verb == "end":
            machine.end()
        elif verb == "report" and machine.alive:
            reports[name] = machine.report()
        elif verb == "die":
            machine.alive = False
        elif verb == "return":
            machine.alive, machine.deaf = True, False
        elif verb == "deafen":
            machine.deaf = True
    for _ in range(12 * len(names)):  # nothing more happens to them, but what has died stays dead, and what is deaf so
        for name, machine in machines.items():
            machine.turn(record, name)
            machine.end()
            if machine.alive:
                reports[name] = machine.report()
        step()
        step(late=record.phase is not Phase.SETTLED)
    assert record.phase is Phase.SETTLED, "it terminates"
    for name, machine in machines.items():
        machine.alive, machine.deaf = True, False
        machine.turn(record, name)
        machine.end()
    assert {machine.runs for machine in machines.values()} == {record.in_force}, "all end on one version"
    state = record.history[-1].state
    assert state is (State.IN_FORCE if record.in_force == 2 else State.ROLLED_BACK)


@pytest.mark.slow
@settings(deadline=None, max_examples=200)
@given(data=st.data())
def test_never_more_in_change_than_allowed_and_all_end_on_one_version(data: st.DataObject) -> None:
    play(lambda choices: data.draw(st.sampled_from(choices)), advance)


def all_at_once(record: Record, hosts: Hosts) -> Record | None:
    """Tells every host in one step."""
    return advance(replace(record, max_unavailable="99"), hosts)


def believes_old_reports(record: Record, hosts: Hosts) -> Record | None:
    """Takes a report from before the turn for an answer to it."""
    return advance(record, replace(hosts, reports={h: r._replace(seq=99) for h, r in hosts.reports.items()}))


def waits_for_the_dead(record: Record, hosts: Hosts) -> Record | None:
    """Never counts a host as gone, nor a step as late."""
    return advance(record, replace(hosts, gone=frozenset(), late=False))


def never_goes_back(record: Record, hosts: Hosts) -> Record | None:
    """Passes a host over that failed."""
    well = {h: r._replace(health=Health.CHANGING) for h, r in hosts.reports.items() if r.health is Health.FAILED}
    return advance(record, replace(hosts, reports={**hosts.reports, **well}, gone=frozenset(), late=False))


def settles_early(record: Record, hosts: Hosts) -> Record | None:
    """Puts a version in force when the first host has it."""
    after = advance(record, hosts)
    first = after is not None and after.phase is Phase.ROLLING and len(after.turns) > 1
    return versions._settled(after, State.IN_FORCE) if first and after is not None else after


@pytest.mark.parametrize(
    "rule", [all_at_once, believes_old_reports, waits_for_the_dead, never_goes_back, settles_early]
)
def test_a_broken_rule_is_found(rule: Rule) -> None:
    """So the property above is worth something."""
    with pytest.raises(AssertionError):
        for seed in range(500):
            play(random.Random(seed).choice, rule)
