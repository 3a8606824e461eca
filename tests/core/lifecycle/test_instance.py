"""What the transcripts cannot show of an instance: status rows, specs as data, and details."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.history.outlook import prospect, standing
from supervisor.core.lifecycle.instance import Instance
from supervisor.core.lifecycle.transitions import step
from supervisor.core.model import events as ev
from supervisor.core.model.actions import Examine, Goal, Kill, Record, Signal, StartMonitoring, State
from supervisor.core.model.causes import Cause
from supervisor.core.model.plain import from_plain, to_plain
from supervisor.core.model.spec import (
    Evidence,
    HeartbeatSpec,
    HookSpec,
    Plan,
    Policy,
    RestartSpec,
    ServiceSpec,
    SupervisorSpec,
)
from supervisor.core.services.plan_diff import difference
from supervisor.core.services.status import instance_view, probe_problems, should_be_up_but_is_not
from supervisor.display.status_row import note
from tests.core.services.test_service_set import spec


def running(**keys: Any) -> Instance:
    instance = Instance("web", spec("web", **keys), lambda: 0.5)
    for event in (ev.Start(), ev.StartPermitted(), ev.Spawned(1, 77)):
        step(instance, event, 100.0)
    return instance


def test_a_view_has_every_name_of_the_contract() -> None:
    contract = """name service goal state ready pid incarnation uptime_s restarts detector phi last_heartbeat_age_s
        suspect_in_s cause exit_code signal next_restart_in_s breaker"""
    view = instance_view(running(), 101.0)
    assert not set(contract.split()) - view.keys()
    assert json.loads(json.dumps(view)) == view
    assert (view["state"], view["uptime_s"], view["pid"], view["phi"]) == ("running", 1.0, 77, None)


def test_a_beat_is_overdue_after_one_and_a_half_of_the_longer_of_two_intervals() -> None:
    assert not running().overdue(1e9)
    slow, quick = running(heartbeat={"interval": 1.0}), running(heartbeat={"interval": 4.0})
    assert not slow.overdue(1e9), "it has not beaten yet"
    for instance in (slow, quick):
        for i in range(5):
            step(instance, ev.Heartbeat(1, 101.0 + 2 * i), 101.0 + 2 * i)
    assert [slow.overdue(109.0 + silence) for silence in (2.9, 3.1)] == [False, True]  # it beats every 2 s
    assert [quick.overdue(109.0 + silence) for silence in (5.9, 6.1)] == [False, True]  # it has 4 s


def test_a_view_of_what_beats() -> None:
    instance = running(heartbeat={"interval": 1.0})
    for i in range(20):
        step(instance, ev.Heartbeat(1, 101.0 + i), 101.0 + i)
    view = instance_view(instance, 121.5)
    assert view["last_heartbeat_age_s"] == 1.5
    assert view["phi"] is not None and 0 < view["phi"] < 8.0 == view["threshold"]
    assert view["suspect_in_s"] == pytest.approx(0.615, abs=0.01)


def test_a_core_dump_is_asked_for_and_waited_for() -> None:
    instance = running(heartbeat={"interval": 1.0}, evidence=Evidence.CORE, stop_timeout=20.0)
    assert instance.deadline is not None
    suspected = instance.deadline
    step(instance, ev.Timeout(), suspected)
    actions = step(instance, ev.SuspectExamined(1, False, None, {"core": {}}), suspected)
    assert [a.detail["evidence"] for a in actions if isinstance(a, Record)] == [{"core": {}}], "kept before it is ended"
    assert [a.number for a in actions if isinstance(a, Signal)] == [6]
    assert instance.deadline == suspected + 20.0
    assert any(isinstance(a, Kill) for a in step(instance, ev.Timeout(), suspected + 20.0))
    plain = step(running(evidence=Evidence.CORE), ev.Stop(), 101.0)
    assert [a.number for a in plain if isinstance(a, Signal)] == [15], "who is merely told to stop dumps nothing"


def test_a_view_of_what_cannot_be_probed() -> None:
    instance = running(heartbeat={"source": "exec", "exec": ["redis-cli"], "interval": 1.0})
    for i in range(20):
        step(instance, ev.Heartbeat(1, 101.0 + i), 101.0 + i)
    assert instance_view(instance, 120.5)["probe"] == {"failures": 0, "error": None, "blind_s": None}
    assert probe_problems([instance]) == []
    for at in (121.0, 122.0):
        step(instance, ev.ProbeUnknown(1, "no such file", at - 0.5), at)
    view = instance_view(instance, 180.5)
    assert view["probe"] == {"failures": 2, "error": "no such file", "blind_s": 60.0}
    assert view["phi"] is view["suspect_in_s"] is instance.deadline is None
    assert probe_problems([instance]) == ["web: its probe cannot ask, so that its silence is not counted: no such file"]
    assert standing(view) == (
        "running and ready (run 1, pid 77), for 1 min 20 s; for 1 min its probe could not ask, so that its silence is "
        "not counted: no such file"
    )
    assert prospect(view) == {"what": "its silence counts again when its probe can ask", "in_s": None}
    assert note(view) == "probe cannot ask for 1m00s: no such file"
    again = running(heartbeat={"source": "exec", "exec": ["redis-cli"]})
    again.restore(instance.snapshot(180.5), crashed=True)
    assert again.probe_failures == 2 and again.blind_since is None
    step(instance, ev.Heartbeat(1, 181.0), 181.0)
    assert instance_view(instance, 181.0)["probe"] == {"failures": 2, "error": None, "blind_s": None}


def test_a_view_of_a_start_that_cannot_be_probed() -> None:
    instance = running(ready={"exec": ["redis-cli"]}, start_timeout=30.0)
    step(instance, ev.ProbeUnknown(1, "no such file", 101.0), 101.0)
    view = instance_view(instance, 161.0)
    assert (view["ready_within_s"], view["probe"]) == (
        None,
        {"failures": 1, "error": "no such file", "blind_s": 60.0},
    )
    assert note(view) == "probe cannot ask for 1m00s: no such file"
    assert prospect(view)["what"] == "it becomes ready, or its start timeout goes on, when its probe can ask"
    assert step(instance, ev.Timeout(), 161.0) == [], "a deadline that came before"


def test_only_what_is_asked_has_a_probe() -> None:
    assert instance_view(running(), 101.0)["probe"] is None
    assert instance_view(running(heartbeat={"source": "log"}, ready={"delay": 1.0}), 101.0)["probe"] is None


@pytest.mark.parametrize(
    ("events", "field"),
    [
        ([ev.Exited(1, 1, None, True)], "next_restart_in_s"),
        ([ev.Stop()], "kill_in_s"),
    ],
)
def test_a_view_counts_down(events: list[ev.Event], field: str) -> None:
    instance = running()
    for event in events:
        step(instance, event, 101.0)
    assert dict(instance_view(instance, 101.5))[field] > 0  # type: ignore[operator]


@pytest.mark.parametrize(
    ("row", "bad"),
    [
        ({"goal": "down"}, False),
        ({"ready": True}, False),
        ({}, True),
        ({"state": "failed"}, True),
        ({"state": "exited", "cause": "succeeded"}, False),
        ({"state": "exited", "cause": "exited"}, True),
        ({"type": "oneshot"}, False),
        ({"type": "oneshot", "state": "backoff"}, True),
    ],
)
def test_what_should_be_up_and_is_not(row: dict[str, Any], bad: bool) -> None:
    healthy: Any = {"goal": "up", "state": "running", "ready": False, "cause": "spawned", "type": "service"}
    assert should_be_up_but_is_not(healthy | row) is bad


def test_specs_survive_the_way_through_json() -> None:
    plan = Plan(
        supervisor=SupervisorSpec(name="x", listen=("127.0.0.1", 80)),
        services=(
            ServiceSpec(
                name="a",
                command=("x", "y z"),
                limits=(("nofile", 10),),
                restart=RestartSpec(policy=Policy.NEVER),
                hooks=(HookSpec(on=("ready",), run=("z",)),),
                extra_groups=(1, 2),
            ),
            spec("b", heartbeat={"interval": 2.0}, ready={"exec": ["a", "b"]}),
        ),
    )
    again = from_plain(Plan, json.loads(json.dumps(to_plain(plan))))
    assert again == plan
    assert again.services[0].restart.policy is Policy.NEVER
    assert again.service("b") is again.services[1]
    assert again.service("c") is None


def test_a_heartbeat_that_changes_is_listened_to_anew() -> None:
    instance = running(heartbeat={"interval": 1.0})
    before = instance.detector
    changed = replace(instance.spec, heartbeat=replace(instance.spec.heartbeat, interval=5.0))  # type: ignore[type-var]
    out = step(instance, ev.Reconfigure(changed, restart=False), 110.0)
    assert any(isinstance(a, StartMonitoring) for a in out)
    assert instance.detector is not before
    assert instance.suspect_at == pytest.approx(130.0)
    step(instance, ev.Reconfigure(replace(changed, heartbeat=None), restart=False), 111.0)
    assert instance.detector is None
    assert instance.deadline is None


def test_what_is_to_go_is_not_restarted_for_a_new_configuration() -> None:
    instance = running()
    step(instance, ev.Stop(later=True), 101.0)
    assert step(instance, ev.Reconfigure(replace(instance.spec, umask=1), restart=True), 102.0) == []
    assert instance.state is State.RUNNING


def test_orders_that_change_nothing_say_nothing() -> None:
    instance = running()
    assert step(instance, ev.Start(), 101.0) == []
    step(instance, ev.Stop(), 102.0)
    assert step(instance, ev.Stop(), 103.0) == []
    assert instance.goal is Goal.DOWN
    waiting = Instance("web", spec("web"), lambda: 0.5)
    step(waiting, ev.Start(), 1.0)
    for event in (ev.Ready(0, "x"), ev.Timeout(), ev.Triggered(0), ev.Extended(0, 1.0), ev.DaemonStalled(1.0)):
        assert step(waiting, event, 2.0) == []


def test_a_second_grant_spawns_nothing() -> None:
    instance = Instance("web", spec("web"), lambda: 0.5)
    step(instance, ev.Start(), 1.0)
    step(instance, ev.StartPermitted(), 1.0)
    assert step(instance, ev.StartPermitted(), 1.0) == []


def test_probes_are_remembered_for_the_story() -> None:
    instance = running(heartbeat={"interval": 1.0, "source": "http", "http": "http://x/"})
    step(instance, ev.ProbeFailed(1, "HTTP 503"), 101.0)
    out = step(instance, ev.Timeout(), instance.deadline or 0.0)
    record = next(a for a in out if isinstance(a, Record))
    assert record.detail["last_probe_error"] == "HTTP 503"
    assert next(a for a in out if isinstance(a, Examine)).confirm


def test_what_a_probe_said_before_it_was_ready_is_no_news_afterwards() -> None:
    instance = Instance("web", spec("web", ready={"tcp": "127.0.0.1:1"}), lambda: 0.5)
    for event in (ev.Start(), ev.StartPermitted(), ev.Spawned(1, 7), ev.ProbeFailed(1, "connection refused")):
        step(instance, event, 1.0)
    assert instance.last_probe_error == "connection refused"
    step(instance, ev.Ready(1, "tcp"), 2.0)
    assert (instance.state, instance.last_probe_error) == (State.RUNNING, "")


def starting(**ready: Any) -> Instance:
    instance = Instance("web", spec("web", ready=ready, heartbeat={"interval": 1.0, "source": "notify"}), lambda: 0.5)
    for event in (ev.Start(), ev.StartPermitted(), ev.Spawned(1, 77)):
        step(instance, event, 100.0)
    return instance


def late(instance: Instance) -> dict[str, Any]:
    """What the record says when it was not ready in time."""
    assert instance.deadline == 130.0
    record = next(a for a in step(instance, ev.Timeout(), 130.0) if isinstance(a, Record))
    assert record.cause is Cause.START_TIMEOUT
    return dict(record.detail)


def test_a_slow_start_that_never_spoke_says_so() -> None:
    assert late(starting(notify=True)) == {"start_timeout_s": 30.0, "notified": 0}


def test_a_slow_start_says_when_it_spoke_and_what_it_said_last() -> None:
    instance = starting(notify=True)
    step(instance, ev.Notified(1), 101.0)
    step(instance, ev.StatusText(1, "loading"), 101.0)
    step(instance, ev.Heartbeat(1, 112.5), 112.5)
    assert late(instance) == {
        "start_timeout_s": 30.0, "notified": 2, "notified_age_s": 17.5, "last_status": "loading",
        "last_status_age_s": 29.0,
    }  # fmt: skip


def test_a_slow_start_says_how_many_probes_failed() -> None:
    instance = starting(tcp="127.0.0.1:1")
    for error in ("no answer", "connection refused"):
        step(instance, ev.ProbeFailed(1, error), 101.0)
    assert late(instance) == {"start_timeout_s": 30.0, "probes_failed": 2, "last_probe_error": "connection refused"}
    step(instance, ev.Ready(1, "tcp"), 131.0)
    assert instance.refusals == 0


def test_a_slow_start_that_is_probed_says_what_it_sent_nevertheless() -> None:
    instance = starting(tcp="127.0.0.1:1")
    step(instance, ev.Notified(1), 101.0)
    assert late(instance) == {"start_timeout_s": 30.0, "notified": 1, "notified_age_s": 29.0}


def test_a_status_has_an_age_and_ends_with_its_run() -> None:
    instance = running()
    view = instance_view(instance, 101.0)
    assert (view["status"], view["status_age_s"]) == (None, None)
    step(instance, ev.StatusText(1, "working"), 102.0)
    view = instance_view(instance, 110.5)
    assert (view["status"], view["status_age_s"]) == ("working", 8.5)
    step(instance, ev.Exited(1, 3, None, True), 111.0)
    assert instance_view(instance, 111.0)["status"] == "working"
    step(instance, ev.Timeout(), instance.deadline or 0.0)
    assert instance.state is State.STARTING
    view = instance_view(instance, 113.0)
    assert (view["status"], view["status_age_s"]) == (None, None)


def test_what_is_heard_before_the_next_spawn_is_not_of_the_next_run() -> None:
    instance = starting(notify=True)
    for event in (ev.Restart(), ev.Exited(1, 0, None, True), ev.Notified(1), ev.StatusText(1, "ending")):
        step(instance, event, 101.0)
    step(instance, ev.StartPermitted(), 102.0)
    view = instance_view(instance, 103.0)
    assert (instance.notified, instance.notified_at, view["status"], view["status_age_s"]) == (0, None, None, None)


def test_the_age_of_a_status_survives_the_daemon() -> None:
    instance = running()
    step(instance, ev.StatusText(1, "working"), 102.0)
    saved = json.loads(json.dumps(instance.snapshot(103.0)))
    found = Instance("web", instance.spec, lambda: 0.5)
    found.restore(saved, crashed=True)
    assert instance_view(found, 112.0)["status_age_s"] == 10.0
    del saved["status_at"]  # as an earlier version saves it
    found = Instance("web", instance.spec, lambda: 0.5)
    found.restore(saved, crashed=True)
    view = instance_view(found, 112.0)
    assert (view["status"], view["status_age_s"]) == ("working", None)


def test_evidence_is_told_with_the_decision() -> None:
    instance = running(heartbeat={"interval": 1.0})
    step(instance, ev.Heartbeat(1, 101.0), 101.0)
    step(instance, ev.Timeout(), instance.deadline or 0.0)
    out = step(instance, ev.SuspectExamined(1, False, None, {"processes": [1]}), 140.0)
    record = next(a for a in out if isinstance(a, Record))
    assert record.after is State.STOPPING
    assert record.detail["evidence"] == {"processes": [1]}
    out = step(instance, ev.Exited(1, None, 15, True), 141.0)
    assert "evidence" not in next(a for a in out if isinstance(a, Record)).detail


@pytest.mark.parametrize("left_behind", [False, True])
def test_a_kill_for_want_of_memory_is_in_the_record_and_in_the_row(left_behind: bool) -> None:
    instance = running()
    out = step(instance, ev.Exited(1, None, 9, not left_behind, "memory.max 256 MiB"), 101.0)
    if left_behind:
        out += step(instance, ev.TreeEmpty(1), 102.0)
    records = [action for action in out if isinstance(action, Record)]
    assert [record.detail["out_of_memory"] for record in records] == ["memory.max 256 MiB"] * (1 + left_behind)
    assert instance_view(instance, 103.0)["out_of_memory"] == "memory.max 256 MiB"
    step(instance, ev.Timeout(), instance.deadline or 0.0)
    step(instance, ev.StartPermitted(), 110.0)
    step(instance, ev.Spawned(2, 78), 110.0)
    (record,) = [action for action in step(instance, ev.Exited(2, 1, None, True), 111.0) if isinstance(action, Record)]
    assert "out_of_memory" not in record.detail
    assert instance_view(instance, 112.0)["out_of_memory"] is None


def test_a_beat_that_goes_backwards_clears_no_suspicion() -> None:
    instance = running(heartbeat={"interval": 1.0})
    step(instance, ev.Heartbeat(1, 101.0), 101.0)
    step(instance, ev.Timeout(), instance.deadline or 0.0)
    assert step(instance, ev.Heartbeat(1, 50.0), 140.0) == []
    assert instance.state is State.SUSPECT


def test_suspicion_after_a_failure_waits_for_health_again() -> None:
    instance = running(heartbeat={"interval": 1.0}, restart={"initial": 0.0, "reset_after": 500.0})
    step(instance, ev.Exited(1, 1, None, True), 101.0)
    step(instance, ev.StartPermitted(), 101.0)
    step(instance, ev.Spawned(2, 78), 101.0)
    step(instance, ev.Heartbeat(2, 102.0), 102.0)
    step(instance, ev.Timeout(), instance.deadline or 0.0)
    step(instance, ev.Heartbeat(2, 150.0), 150.0)
    assert instance.state is State.RUNNING
    assert instance.tracker.attempt == 1
    step(instance, ev.Timeout(), 650.0)
    assert instance.state is State.SUSPECT, "silence is judged first"


def test_difference_knows_what_a_process_must_be_told() -> None:
    beat = spec("web", heartbeat={"interval": 1.0})
    slower = spec("web", heartbeat={"interval": 2.0})
    stricter = spec("web", heartbeat={"interval": 1.0, "threshold": 9.0})

    def plan(s: ServiceSpec) -> Plan:
        return Plan(supervisor=SupervisorSpec(), services=(s,))

    assert difference(plan(beat), plan(slower)).needs_restart("web"), "WATCHDOG_USEC is in its environment"
    assert not difference(plan(beat), plan(stricter)).needs_restart("web")
    assert difference(plan(beat), plan(beat)).unchanged == 1


def test_small_print_of_orders_that_come_at_odd_moments() -> None:
    instance = running(restart={"initial": 5.0})
    step(instance, ev.Stop(later=True), 101.0)
    assert step(instance, ev.Stop(later=True), 101.0) == [], "it knows"
    step(instance, ev.Start(), 102.0)
    assert step(instance, ev.Timeout(), 103.0) == [], "a timer that came too early"
    assert step(instance, ev.TreeEmpty(1), 103.0) == []
    step(instance, ev.Restart(), 104.0)
    assert step(instance, ev.Start(), 104.0) == [], "it will be"
    assert step(instance, ev.TreeEmpty(1), 104.0) == [], "its main process still runs"
    step(instance, ev.Exited(1, 0, None, True), 105.0)
    for event in (ev.StartPermitted(), ev.Spawned(2, 78), ev.Exited(2, 1, None, True)):
        step(instance, event, 106.0)
    assert instance.state is State.BACKOFF
    records = step(instance, ev.Reconfigure(replace(instance.spec, description="db"), restart=False), 107.0)
    assert instance.state is State.BACKOFF
    assert len(records) == 1, "nothing runs that would have to be restarted"


def test_what_nobody_listens_to_any_more_can_still_be_found_alive() -> None:
    instance = running(heartbeat={"interval": 1.0, "source": "tcp", "tcp": "x"})
    step(instance, ev.Heartbeat(1, 101.0), 101.0)
    step(instance, ev.Timeout(), instance.deadline or 0.0)
    step(instance, ev.Reconfigure(replace(instance.spec, heartbeat=None), restart=False), 140.0)
    step(instance, ev.SuspectExamined(1, True, None), 141.0)
    assert instance.state is State.RUNNING


def test_after_a_boot_only_history_is_left_of_an_instance() -> None:
    first = running(restart={"initial": 5.0})
    step(first, ev.Exited(1, 1, None, True), 101.0)
    second = Instance("web", first.spec, lambda: 0.5)
    second.restore(first.snapshot(102.0), crashed=False)
    assert (second.state, second.goal, second.deadline) == (State.STOPPED, Goal.DOWN, None)
    assert (second.tracker.attempt, second.restarts, second.incarnation) == (0, 1, 1)


@pytest.mark.slow
@given(
    st.sampled_from(sorted(running().snapshot(0.0))),
    st.one_of(st.none(), st.integers(), st.text(), st.lists(st.none())),
)
def test_a_damaged_snapshot_is_history_at_most(key: str, junk: object) -> None:
    second = Instance("web", running().spec, lambda: 0.5)
    second.restore(running().snapshot(102.0) | {key: junk}, crashed=True)
    assert second.deadline is None or second.deadline == second.deadline
    json.dumps(second.snapshot(103.0), allow_nan=False)


def test_a_snapshot_whose_switch_is_none_is_history_at_most() -> None:
    saved = running().snapshot(102.0)
    good, bad = (Instance("web", running().spec, lambda: 0.5) for _ in range(2))
    good.restore(saved, crashed=True)
    bad.restore(saved | {"ready": 1}, crashed=True)
    assert (good.state, good.pid) == (State.RUNNING, running().pid)
    assert (bad.state, bad.pid, bad.incarnation) == (State.STOPPED, None, good.incarnation)


def test_innocent_intervals_are_recorded_and_no_others() -> None:
    instance = Instance(
        "web", ServiceSpec(name="web", command=("x",), heartbeat=HeartbeatSpec(interval=1.0)), lambda: 0.5
    )
    step(instance, ev.Start(), 0.0)
    step(instance, ev.StartPermitted(), 0.0)
    step(instance, ev.Spawned(1, 7), 0.0)
    for at in (1.0, 2.0, 3.0):
        instance.beat(ev.Heartbeat(1, at))
    assert (instance.histogram.count, instance.histogram.longest) == (2, 1.0)
    instance.beat(ev.Heartbeat(1, 3.0))  # the same once more
    assert instance.histogram.count == 2
    step(instance, ev.DaemonStalled(5.0), 8.0)  # the fault of the daemon itself
    instance.beat(ev.Heartbeat(1, 9.0))
    assert instance.histogram.count == 2
    step(instance, ev.Timeout(), instance.deadline or 0.0)
    assert instance.state is State.SUSPECT
    step(instance, ev.Heartbeat(1, 50.0), 50.0)  # late, and that is all
    assert (instance.histogram.count, instance.histogram.longest) == (3, 41.0)
    step(instance, ev.Timeout(), instance.deadline or 0.0)
    step(instance, ev.SuspectExamined(1, False, "stopped"), 90.0)
    step(instance, ev.Heartbeat(1, 95.0), 95.0)  # it was stopped
    instance.beat(ev.Heartbeat(1, 96.0))
    assert (instance.histogram.count, instance.histogram.longest) == (4, 41.0)
    again = Instance("web", instance.spec, lambda: 0.5)
    again.restore(instance.snapshot(96.0), crashed=False)
    assert again.histogram.count == 4
    same = HeartbeatSpec(interval=1.0)
    for beat, kept in ((replace(same, threshold=3.0), 4), (replace(same, interval=9.0), 0)):
        step(instance, ev.Reconfigure(replace(instance.spec, heartbeat=beat), False), 97.0)
        assert instance.histogram.count == kept


@pytest.mark.parametrize(("kind", "ready"), [("service", True), ("oneshot", False)])
def test_what_was_being_spawned_is_ready_when_adopted_unless_it_is_to_complete(kind: str, ready: bool) -> None:
    before, after = (Instance("web", spec("web", type=kind), lambda: 0.5) for _ in range(2))
    for event in (ev.Start(), ev.StartPermitted()):
        step(before, event, 100.0)
    after.restore(before.snapshot(101.0), crashed=True)
    step(after, ev.Adopted(1, 77, 5.0), 102.0)
    assert (after.state, after.ready) == (State.RUNNING, ready)


def test_a_probe_that_could_not_ask_is_of_its_run() -> None:
    instance = running(heartbeat={"source": "exec", "exec": ["redis-cli"]})
    step(instance, ev.ProbeUnknown(1, "no such file", 101.0), 101.0)
    before = instance_view(instance, 161.0)["probe"]
    step(instance, ev.Exited(1, 1, None, True), 162.0)
    after = instance_view(instance, 163.0)["probe"]
    assert before is not None and after is not None
    assert (before["blind_s"], after["blind_s"]) == (60.0, None)
    assert probe_problems([instance]) == []


@pytest.mark.parametrize(("factor", "told"), [(1.0, {}), (1.5, {"patience": 1.5})])
def test_a_suspicion_tells_by_how_much_its_time_was_extended(factor: float, told: dict[str, float]) -> None:
    instance = running(heartbeat={"interval": 1.0})
    step(instance, ev.Heartbeat(1, 101.0), 101.0)
    (found, *_) = step(instance, ev.Timeout(factor), 600.0)
    assert isinstance(found, Record) and found.cause is Cause.SILENT
    assert {key: value for key, value in found.detail.items() if key == "patience"} == told


def test_a_time_in_which_nothing_could_be_asked_is_no_interval() -> None:
    instance = running(heartbeat={"source": "exec", "exec": ["redis-cli"], "interval": 1.0})
    for at in (101.0, 102.0, 103.0):
        step(instance, ev.Heartbeat(1, at), at)
    step(instance, ev.ProbeUnknown(1, "no such file", 104.0), 104.0)
    for at in (4000.0, 4001.0, 4002.0):
        step(instance, ev.Heartbeat(1, at), at)
    assert (instance.histogram.count, instance.histogram.longest) == (3, 1.0)
