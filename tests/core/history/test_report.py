"""The report on hand-written histories, of which every number can be checked by hand."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.history import report as reports
from supervisor.core.history.ratios import Counts, ratios
from supervisor.core.history.report import report
from supervisor.core.history.timeline import Timeline, timeline
from supervisor.core.model.causes import Cause
from supervisor.core.model.documents import Event
from supervisor.core.model.instance_documents import Instance
from supervisor.core.model.story_documents import Report
from supervisor.core.text.timestamps import to_iso

JSON = dict[str, Any]
T0 = 1_700_000_000.0
STATES = ["stopped", "starting", "running", "suspect", "stopping", "backoff", "exited", "failed"]


class History:
    """Events of instances, written as `second, from, to, cause`; ids rise."""

    def __init__(self, first_id: int = 100) -> None:
        self.events: list[Event] = []
        self._id = first_id

    def add(self, at: float, before: str, after: str, cause: str, *, name: str = "web", goal: str = "up",
            incarnation: int = 1, **detail: Any) -> History:  # fmt: skip
        event: Any = {
            "id": self._id, "at": to_iso(T0 + at), "service": name.partition("@")[0], "instance": name,
            "incarnation": incarnation, "goal": goal, "from": before, "to": after, "cause": cause, "detail": detail,
        }  # fmt: skip
        self.events.append(event)
        self._id += 1
        return self

    def boot(self, at: float, ready: float, **more: Any) -> History:
        self.add(at, "stopped", "starting", "autostart", **more)
        self.add(at, "starting", "starting", "autostart", phase="spawn", **more)
        return self.add(ready, "starting", "running", "ready", **more)

    def crash(self, at: float, again: float, ready: float, **more: Any) -> History:
        self.add(at, "running", "backoff", "exited", exit_code=1, attempt=1, delay_s=again - at, **more)
        self.add(again, "backoff", "starting", "backoff-elapsed", **more)
        self.add(again, "starting", "starting", "backoff-elapsed", phase="spawn", **more)
        return self.add(ready, "starting", "running", "ready", **more)

    def hang(self, at: float, killed: float, ready: float, silence: float = 4.0) -> History:
        self.add(at, "running", "suspect", "heartbeat-silent", silence_s=silence)
        self.add(at, "suspect", "stopping", "heartbeat-silent", silence_s=silence)
        self.add(killed, "stopping", "starting", "heartbeat-silent", silence_s=silence, attempt=1, delay_s=0.0)
        self.add(killed, "starting", "starting", "heartbeat-silent", phase="spawn")
        return self.add(ready, "starting", "running", "ready")

    def report(self, since: float | None, until: float, *rows: Instance) -> Report:
        return report(self.events, None if since is None else T0 + since, T0 + until, list(rows))


def row(name: str = "web", **changes: Any) -> Instance:
    found: Any = {
        "name": name, "service": name.partition("@")[0], "goal": "up", "state": "running", "ready": True, "pid": 7,
        "incarnation": 1, "since_s": 1e6, "current": True, "type": "service", "cause": "ready", **changes,
    }  # fmt: skip
    row: Instance = found
    return row


def test_a_crash_and_a_hang_that_were_healed() -> None:
    found = History().boot(0, 10).crash(40, 45, 50).hang(80, 82, 90).report(0, 110, row())
    assert found["since"] == to_iso(T0)
    assert found["seconds"] == 110
    web = found["total"]
    assert {key: web[key] for key in ("wanted_s", "ready_s", "unknown_s", "availability")} == {
        "wanted_s": 110, "ready_s": 80, "unknown_s": 0, "availability": round(80 / 110, 6)}  # fmt: skip
    assert (web["failures"], web["recovered"], web["recovery_ratio"]) == (2, 2, 1.0)
    assert web["failures_by_cause"] == {"exited": 1, "heartbeat-silent": 1}
    assert (web["mtbf_s"], web["mttr_s"], web["longest_outage_s"], web["outages"]) == (40, 10, 10, 2)
    assert (web["detection_mean_s"], web["detection_max_s"]) == (2, 4)
    assert web["detection_by_cause"]["heartbeat-silent"] == {"mean_s": 4, "max_s": 4}
    assert web["restarts_by_cause"] == {"exited": 1, "heartbeat-silent": 1}
    assert (web["restarts"], web["false_suspicions"], web["holds"], web["breaker_opened"]) == (2, 0, 0, 0)
    assert (web["replication"], web["consistency"], web["load"], web["fault_ratio"]) == (1.0, 1.0, None, 2.0)


def test_nothing_ever_failed() -> None:
    total = History().boot(0, 0).report(0, 100, row())["total"]
    assert total["availability"] == 1.0
    assert (total["failures"], total["fault_ratio"]) == (0, 0.0)
    for unknown in ("mtbf_s", "mttr_s", "detection_mean_s", "detection_max_s", "recovery_ratio", "longest_outage_s"):
        assert total[unknown] is None


def test_nothing_is_known_at_all() -> None:
    found = History().report(0, 100)
    assert found["services"] == []
    assert all(value in (None, 0, {}, 0.0) for value in found["total"].values())


def test_a_crash_loop_is_one_outage_and_the_breaker_recovers_by_itself() -> None:
    history = History().boot(0, 0)
    history.add(10, "running", "backoff", "exited", attempt=1, delay_s=1.0)
    history.add(11, "backoff", "starting", "backoff-elapsed")
    history.add(12, "starting", "failed", "exited", breaker="open", attempt=1, retry_in_s=8.0)
    history.add(20, "failed", "starting", "breaker-trial")
    history.add(20, "starting", "starting", "breaker-trial", phase="spawn")
    history.add(30, "starting", "running", "ready")
    history.add(90, "running", "running", "breaker-closed")
    total = history.report(0, 100, row())["total"]
    assert (total["failures"], total["recovered"], total["restarts"], total["breaker_opened"]) == (2, 2, 2, 1)
    assert total["restarts_by_cause"] == {"breaker-trial": 1, "exited": 1}
    assert (total["outages"], total["mttr_s"], total["ready_s"]) == (1, 20, 80)


def test_a_failed_spawn_that_is_tried_at_once_again_is_a_failure_each_time() -> None:
    history = History().add(0, "stopped", "starting", "autostart")
    for at in (1, 2):
        history.add(at, "starting", "starting", "spawn-failed", error="x", attempt=at, delay_s=0.0)
        history.add(at, "starting", "starting", "spawn-failed", phase="spawn")
    total = history.report(0, 10, row(state="starting", ready=False, pid=None))["total"]
    assert (total["failures"], total["restarts"], total["recovered"]) == (2, 2, 0)
    assert total["detection_max_s"] == 0
    assert total["availability"] == 0


def test_nobody_knows_how_long_it_ran_that_ended_while_nobody_looked() -> None:
    history = History().boot(0, 0)
    history.add(60, "running", "backoff", "exit-status-unknown", attempt=1, delay_s=5.0)
    history.add(65, "backoff", "starting", "backoff-elapsed").add(65, "starting", "running", "ready")
    total = history.report(0, 100, row())["total"]
    assert (total["unknown_s"], total["ready_s"], total["failures"]) == (60, 35, 1)


@pytest.mark.parametrize("cause", ["reset-by-user", "started-by-user", "reloaded"])
def test_what_a_person_healed_did_not_heal_itself(cause: str) -> None:
    history = History().boot(0, 0)
    history.add(10, "running", "backoff", "exited", attempt=1, delay_s=5.0)
    history.add(12, "backoff", "starting", cause).add(13, "starting", "running", "ready")
    total = history.crash(50, 51, 52).report(0, 100, row())["total"]
    assert (total["failures"], total["recovered"], total["recovery_ratio"]) == (2, 1, 0.5)
    assert (total["outages"], total["mttr_s"]) == (2, 2.5)


def test_an_outage_may_be_shorter_than_a_second() -> None:
    total = History().boot(0, 0).crash(10, 10.25, 10.5).report(0, 100, row())["total"]
    assert (total["outages"], total["mttr_s"], total["longest_outage_s"]) == (1, 0.5, 0.5)


def test_a_person_who_steps_in_leaves_later_failures_to_the_machine() -> None:
    history = History().boot(0, 0)
    history.add(10, "running", "backoff", "exited", attempt=1, delay_s=5.0)
    history.add(12, "backoff", "starting", "reset-by-user")
    history.add(13, "starting", "backoff", "exited", attempt=1, delay_s=1.0)
    history.add(14, "backoff", "starting", "backoff-elapsed").add(15, "starting", "running", "ready")
    total = history.report(0, 100, row())["total"]
    assert (total["failures"], total["recovered"]) == (2, 1)


@pytest.mark.parametrize(
    ("last", "state", "outages"),
    [(("backoff", "stopped", "stopped-by-user"), "stopped", 0), (None, "backoff", 0)],
)
def test_what_is_not_over_is_not_recovered(last: tuple[str, str, str] | None, state: str, outages: int) -> None:
    history = History().boot(0, 0).add(10, "running", "backoff", "exited", attempt=1, delay_s=500.0)
    if last is not None:
        history.add(20, *last, goal="down")
    now = row(state=state, ready=False, pid=None, goal="up" if last is None else "down")
    total = history.report(0, 100, now)["total"]
    assert (total["failures"], total["recovered"], total["outages"], total["mttr_s"]) == (1, 0, outages, None)
    assert total["wanted_s"] == (100 if last is None else 20)
    assert total["ready_s"] == 10


def test_given_up_by_policy() -> None:
    history = History().boot(0, 0).add(10, "running", "exited", "exited", exit_code=1)
    total = history.report(0, 100, row(state="exited", cause="exited", ready=False, pid=None))["total"]
    assert (total["failures"], total["recovered"], total["availability"]) == (1, 0, 0.1)


def test_false_alarms_and_holds_cost_no_availability() -> None:
    history = History().boot(0, 0)
    history.add(10, "running", "suspect", "heartbeat-silent", silence_s=4.0)
    history.add(12, "suspect", "suspect", "held", held="stopped (SIGSTOP)")
    history.add(15, "suspect", "running", "heartbeat-resumed")
    history.add(20, "running", "suspect", "heartbeat-silent").add(21, "suspect", "running", "confirmed-alive")
    total = history.report(0, 100, row())["total"]
    assert (total["false_suspicions"], total["holds"], total["failures"]) == (2, 1, 0)
    assert (total["availability"], total["mttr_s"]) == (1.0, None)


def test_a_suspicion_that_proved_right_was_downtime_from_the_first_moment() -> None:
    history = History().boot(0, 0)
    history.add(10, "running", "suspect", "heartbeat-silent", silence_s=4.0)
    history.add(12, "suspect", "suspect", "held", held="stopped (SIGSTOP)")
    history.add(40, "suspect", "stopping", "heartbeat-silent", silence_s=4.0)
    history.add(41, "stopping", "starting", "heartbeat-silent", attempt=1, delay_s=0.0)
    history.add(50, "starting", "running", "ready")
    total = history.report(0, 100, row())["total"]
    assert (total["ready_s"], total["mttr_s"], total["failures"]) == (60, 40, 1)


def test_a_suspicion_that_lasts_is_what_the_status_says() -> None:
    history = History().boot(0, 0).add(60, "running", "suspect", "heartbeat-silent")
    history.add(61, "suspect", "suspect", "heartbeat-silent", action="report")
    assert history.report(0, 100, row(state="suspect"))["total"]["ready_s"] == 100
    assert history.report(0, 100, row(state="suspect", ready=False))["total"]["ready_s"] == 60


def test_a_period_that_begins_in_the_middle_of_an_outage() -> None:
    history = History().boot(-100, -100).crash(-10, 20, 30)
    with_past = history.report(0, 100, row())["total"]
    history.events = [e for e in history.events if e["at"] >= to_iso(T0)]
    without = history.report(0, 100, row())["total"]
    for total in (with_past, without):
        assert (total["ready_s"], total["wanted_s"], total["availability"]) == (70, 100, 0.7)
        assert (total["failures"], total["mttr_s"], total["outages"]) == (0, None, 0)


@pytest.mark.parametrize(
    ("before", "after", "cause", "ready", "wanted"),
    [
        ("running", "backoff", "exited", 50, 100),
        ("suspect", "running", "heartbeat-resumed", 100, 100),
        ("suspect", "stopping", "heartbeat-silent", 0, 100),
        ("starting", "running", "ready", 50, 100),
        ("failed", "starting", "breaker-trial", 0, 100),
        ("exited", "starting", "started-by-user", 0, 50),
        ("stopped", "starting", "started-by-user", 0, 50),
        ("stopped", "starting", "added", 0, 50),
        ("stopped", "starting", "scaled-by-user", 0, 50),
        ("stopped", "starting", "surge-started", 0, 50),
        ("stopped", "starting", "fallback-wanted", 0, 50),
        ("stopped", "starting", "autostart", 0, 50),
    ],
)
def test_how_a_period_began_is_told_by_its_first_event(
    before: str, after: str, cause: str, ready: float, wanted: float
) -> None:
    history = History().add(50, before, after, cause)
    total = history.report(0, 100, row(state=after, ready=after == "running"))["total"]
    assert (total["ready_s"], total["wanted_s"]) == (ready, wanted)
    assert total["unknown_s"] == (50 if cause == "autostart" or before == "exited" else 0)


def test_a_supervisor_that_died_leaves_a_gap_that_nobody_knows() -> None:
    """Killed at some time after 40, with everything; started again at 60."""
    history = History().boot(0, 0).add(40, "running", "running", "reset-by-user").boot(60, 70, incarnation=2)
    total = history.report(0, 100, row(incarnation=2))["total"]
    assert (total["unknown_s"], total["wanted_s"], total["ready_s"]) == (20, 80, 70)


@pytest.mark.parametrize("suspect", [False, True])
def test_an_adopted_process_lived_all_the_time(suspect: bool) -> None:
    history = History().boot(0, 0)
    if suspect:
        history.add(30, "running", "suspect", "heartbeat-silent")
        history.add(31, "suspect", "suspect", "held")
    history.add(60, "stopped", "running", "adopted", pid=7)
    total = history.report(0, 100, row())["total"]
    assert (total["unknown_s"], total["availability"], total["failures"]) == (0, 1.0, 0)


def test_a_gap_in_a_suspicion_is_unknown_from_its_beginning() -> None:
    history = (
        History().boot(0, 0).add(30, "running", "suspect", "heartbeat-silent").add(35, "suspect", "suspect", "held")
    )
    total = history.boot(60, 60, incarnation=2).report(0, 100, row(incarnation=2))["total"]
    assert (total["unknown_s"], total["ready_s"], total["wanted_s"]) == (30, 70, 70)


def test_without_a_supervisor_nobody_knows_what_came_after_the_last_event() -> None:
    total = History().boot(0, 10).report(0, 100)["total"]
    assert (total["wanted_s"], total["ready_s"], total["unknown_s"]) == (10, 0, 90)
    assert (total["replication"], total["consistency"]) == (None, None)
    history = History().boot(0, 10).add(50, "running", "stopping", "shutdown", goal="down")
    total = history.add(51, "stopping", "stopped", "stopped", goal="down").report(0, 100)["total"]
    assert (total["wanted_s"], total["ready_s"], total["unknown_s"], total["fault_ratio"]) == (50, 40, 0, 0.0)


@pytest.mark.parametrize(
    ("changes", "wanted", "ready", "unknown"),
    [
        ({"since_s": 500.0}, 100, 100, 0),
        ({"since_s": 30.0}, 30, 30, 70),
        ({"since_s": None}, 0, 0, 100),
        ({"since_s": 500.0, "state": "failed", "ready": False}, 100, 0, 0),
        ({"since_s": 500.0, "state": "stopped", "goal": "down", "ready": False}, 0, 0, 0),
        ({"since_s": 500.0, "state": "exited", "cause": "succeeded", "ready": False}, 0, 0, 0),
    ],
)
def test_without_an_event_it_has_been_what_it_is_for_as_long_as_the_status_says(
    changes: JSON, wanted: float, ready: float, unknown: float
) -> None:
    total = History().report(0, 100, row(**changes))["total"]
    assert (total["wanted_s"], total["ready_s"], total["unknown_s"]) == (wanted, ready, unknown)


def test_what_waits_for_a_connection_is_available() -> None:
    history = History().add(0, "stopped", "stopped", "on-demand")
    history.add(10, "stopped", "starting", "connection").add(12, "starting", "running", "ready")
    history.add(50, "running", "stopping", "idle").add(51, "stopping", "stopped", "idle")
    waiting = row(state="stopped", cause="idle", pid=None, on_demand=True)
    total = history.report(0, 100, waiting)["total"]
    assert (total["wanted_s"], total["ready_s"], total["failures"], total["replication"]) == (100, 97, 0, 1)


def test_without_an_event_and_a_status_nothing_is_known() -> None:
    assert timeline([], T0, T0 + 100, None, oneshot=False) == Timeline(unknown=100)


def test_a_oneshot_has_no_availability_and_recovers_when_it_succeeds() -> None:
    history = History().boot(0, 0, name="job").crash(5, 6, 7, name="job")
    history.add(9, "running", "exited", "succeeded", name="job", exit_code=0)
    done = row("job", type="oneshot", state="exited", cause="succeeded", ready=False, pid=None)
    total = history.report(0, 100, done)["total"]
    assert (total["availability"], total["wanted_s"], total["mtbf_s"], total["replication"]) == (None, 0, None, None)
    assert (total["failures"], total["recovered"], total["mttr_s"]) == (1, 1, 4)


def test_a_oneshot_is_known_by_its_success_where_no_daemon_runs() -> None:
    history = History().boot(0, 0, name="job").add(9, "running", "exited", "succeeded", name="job", exit_code=0)
    total = history.report(0, 100)["total"]
    assert (total["availability"], total["wanted_s"]) == (None, 0)


def test_a_service_that_ended_with_0_is_missing_and_has_not_recovered() -> None:
    history = History().boot(0, 0).add(20, "running", "stopping", "exited", exit_code=0, tree="left behind")
    history.add(21, "stopping", "exited", "exited", exit_code=0, policy="on-failure")
    total = history.report(0, 100, row(state="exited", cause="exited", ready=False, pid=None))["total"]
    assert (total["wanted_s"], total["availability"], total["replication"]) == (100, 0.2, 0)
    assert (total["failures"], total["recovered"], total["recovery_ratio"]) == (1, 0, 0)


def test_a_service_that_is_done_is_no_longer_wanted() -> None:
    history = History().boot(0, 0).add(20, "running", "exited", "succeeded", exit_code=0)
    history.add(30, "exited", "exited", "reset-by-user")
    total = history.report(0, 100, row(state="exited", cause="succeeded", ready=False, pid=None))["total"]
    assert (total["wanted_s"], total["availability"]) == (20, 1.0)


def test_services_are_summed_from_their_instances_in_the_order_of_the_status() -> None:
    history = History().boot(0, 0, name="web@1").boot(0, 50, name="web@2").boot(0, 0, name="gone")
    history.boot(0, 0, name="db")
    rows = [row("db"), row("web@1"), row("web@2", current=False)]
    found = history.report(0, 100, *rows)
    assert [s["service"] for s in found["services"]] == ["db", "web", "gone"]
    web = found["services"][1]
    assert (web["instances"], web["wanted_s"], web["ready_s"], web["availability"]) == (2, 200, 150, 0.75)
    assert (web["consistency"], found["total"]["consistency"]) == (0.5, round(2 / 3, 6))
    assert found["total"]["instances"] == 4


def test_where_more_is_unknown_than_known_there_is_no_availability() -> None:
    """No daemon answers, so that only the starting before the last event is known."""
    total = History().boot(0, 1).report(0, 100)["total"]
    assert (total["wanted_s"], total["unknown_s"], total["availability"]) == (1, 99, None)


def test_knowledge_begins_with_the_ledger() -> None:
    found = History(first_id=1).boot(40, 40).report(0, 100, row())
    assert found["seconds"] == 60
    assert found["total"]["unknown_s"] == 0
    assert History().boot(40, 40).report(None, 100, row())["seconds"] == 60
    assert History().report(None, 100)["seconds"] == 0


def test_missing_details_are_not_made_up() -> None:
    history = History().boot(0, 0)
    history.add(10, "running", "stopping", "heartbeat-silent").add(11, "stopping", "starting", "heartbeat-silent")
    history.add(12, "starting", "running", "ready")
    history.add(20, "running", "stopping", "memory-limit", value=2, limit=1)
    total = history.report(0, 100, row(state="stopping", ready=False))["total"]
    assert total["failures"] == 2
    assert (total["detection_mean_s"], total["detection_by_cause"]) == (None, {})


def test_a_clock_that_steps_back_makes_no_negative_times() -> None:
    history = History().boot(50, 60).add(20, "running", "backoff", "exited", attempt=1, delay_s=1.0)
    history.add(25, "backoff", "starting", "backoff-elapsed").add(30, "starting", "running", "ready")
    total = history.report(0, 100, row())["total"]
    assert 0 <= total["ready_s"] <= total["wanted_s"]
    assert total["mttr_s"] is not None and total["mttr_s"] >= 0


EVENTS = st.lists(
    st.tuples(st.integers(-50, 150), st.sampled_from(STATES), st.sampled_from(STATES), st.sampled_from(list(Cause)),
              st.sampled_from(["up", "down"]), st.integers(1, 2)),
    max_size=30,
)  # fmt: skip


@given(EVENTS, st.sampled_from(STATES), st.sampled_from(["service", "oneshot"]), st.booleans())
def test_whatever_happened_the_numbers_make_sense(
    happened: list[tuple[int, str, str, Cause, str, int]], state: str, kind: str, daemon: bool
) -> None:
    history = History()
    for at, before, after, cause, goal, incarnation in sorted(happened, key=lambda e: e[0]):
        history.add(at, before, after, cause.value, goal=goal, incarnation=incarnation, attempt=1, delay_s=0.5)
    rows = [row(state=state, ready=state == "running", type=kind)] if daemon else []
    found = history.report(0, 100, *rows)
    total = found["total"]
    assert 0 <= total["ready_s"] <= total["wanted_s"] + 0.002
    if rows or any(e["at"] <= to_iso(T0 + 100) for e in history.events):
        assert total["wanted_s"] + total["unknown_s"] <= 100.01
    assert 0 <= total["recovered"] <= total["failures"]
    for share in (total["availability"], total["recovery_ratio"], total["replication"], total["consistency"]):
        assert share is None or 0 <= share <= 1
    mean, longest = total["mttr_s"], total["longest_outage_s"]
    assert mean is None or (longest is not None and 0 <= mean <= longest + 0.001)


@given(EVENTS, st.sampled_from(STATES), st.sampled_from(["service", "oneshot"]), st.booleans(), st.booleans())
def test_what_stands_before_the_last_recovery_before_the_period_changes_nothing(
    happened: list[tuple[int, str, str, Cause, str, int]], state: str, kind: str, daemon: bool, in_order: bool
) -> None:
    history = History()
    for at, before, after, cause, goal, incarnation in sorted(happened, key=lambda e: e[0]) if in_order else happened:
        history.add(at, before, after, cause.value, goal=goal, incarnation=incarnation, attempt=1, delay_s=0.5)
    rows = [row(state=state, ready=state == "running", type=kind)] if daemon else []
    found = history.report(20, 100, *rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reports, "_calm_before", lambda *_: 0)
        assert found == history.report(20, 100, *rows)


def test_of_a_long_history_only_the_last_recovery_before_the_period_is_looked_at() -> None:
    history = History().boot(0, 1)
    for at in range(10, 100, 10):
        history.crash(at, at + 1, at + 2)
    assert reports._calm_before(history.events, T0 + 55) == 3 + 4 * 4 + 3
    assert reports._calm_before(history.events, T0 + 1) == 0 and reports._calm_before([], T0) == 0


def test_load_is_what_each_balanced_instance_was_sent() -> None:
    counts = Counts()
    assert counts.ratios(0, 0)["load"] is None, "no balancer is in front"
    for requests in (10, 20):
        counts.carried(requests)
    assert counts.ratios(0, 0)["load"] == 15.0


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans(), st.booleans(), st.integers(0, 9)), max_size=8))
def test_counts_of_parts_add_up_to_those_of_all(seen: list[tuple[bool, bool, bool, bool, int]]) -> None:
    whole, parts = Counts(), [Counts(), Counts()]
    for number, (wanted, ready, running, current, requests) in enumerate(seen):
        for counts in (whole, parts[number % 2]):
            counts.add(wanted, ready, running, current)
            counts.carried(requests)
    together = Counts()
    for part in parts:
        together.include(part)
    assert together == whole


def test_a_balanced_row_counts_for_the_load() -> None:
    balanced = {"slot": "active", "sessions": 1, "queue": 0, "rate": 3, "requests": 8, "errors": 0}
    assert ratios([row(balanced=balanced)], 1, 0, 0)["load"] == 8.0


def test_what_a_oneshot_did_before_the_first_event_is_no_time_in_which_it_was_wanted() -> None:
    history = History()
    history.add(40, "running", "exited", "succeeded")
    total = history.report(0, 100, row(type="oneshot", state="exited", cause="succeeded", ready=False))["total"]
    assert (total["wanted_s"], total["availability"]) == (0.0, None)
