"""`why` on the records of the real rules: an instance is stepped, its records become events, and `why` reads them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from supervisor.core.history.outlook import prospect, standing
from supervisor.core.history.why import evidence_of, headline, incidents_of, one_incident, tell, why
from supervisor.core.lifecycle.instance import Instance
from supervisor.core.lifecycle.transitions import step
from supervisor.core.model import events as ev
from supervisor.core.model import instance_documents
from supervisor.core.model.actions import Action, Record
from supervisor.core.model.documents import Event
from supervisor.core.model.evidence_documents import Evidence
from supervisor.core.model.spec import (
    ExitCodesSpec,
    HeartbeatSpec,
    NotifyAccess,
    Policy,
    Reaction,
    ReadySpec,
    ResourcesSpec,
    RestartSpec,
    ServiceSpec,
    ServiceType,
    Suspicion,
    TargetSpec,
)
from supervisor.core.model.story_documents import Why
from supervisor.core.services.settled import settled
from supervisor.core.services.status import instance_view
from supervisor.core.text.causes import ending
from supervisor.core.text.timestamps import local_time, to_iso

JSON = dict[str, Any]
T0 = 1_700_000_000.0
RESTART = RestartSpec(initial=1.0, jitter=0.0, max_restarts=2, cooldown=30.0)
EVIDENCE: JSON = {
    "host": {"load": [9.5, 4.0, 2.0], "psi": {"cpu": {"some": [80.0, 20.0]}, "io": {"some": [1.0, 1.0]}}},
    "last_lines": ["starting", "waiting for lock 7", ""],
    "stacks": [
        {"pid": 7, "how": "SIGUSR2",
         "lines": ["Current thread 0x1 (most recent call first):", '  File "/a/b.py", line 3 in take',
                   '  File "/a/b.py", line 9 in <module>']},
        {"pid": 8, "how": "py-spy", "error": "Permission Denied"},
        {"pid": 9, "how": "SIGUSR2", "lines": ["what?", "no"]},
    ],
    "core": {"pattern": "core", "limit_bytes": 0, "directory": "/srv"},
    "processes": [
        {"pid": 7, "name": "web", "state": "S", "memory_bytes": 52_428_800, "cpu_s": 1.5, "fds": 12,
         "threads": [{"state": "S", "waits_in": "futex_wait"}, {"state": "S", "stack": ["futex_wait+0x1/0x2"]},
                     {"state": "R", "waits_in": None}],
         "sockets": [{"local": "127.0.0.1:1", "remote": "127.0.0.1:2", "receive_queue": 2048, "send_queue": 0}]},
        {"pid": 8, "name": "sh", "state": "S"}, {"pid": 9, "name": "sh", "state": "S"},
    ],
}  # fmt: skip


class Life:
    """An instance under the real rules, and the ledger of what it did."""

    def __init__(self, **spec: Any) -> None:
        self.now = 1000.0
        spec.setdefault("restart", RESTART)
        self.instance = Instance("web@1", ServiceSpec(name="web", command=("x",), **spec), lambda: 0.5)
        self.events: list[Event] = []
        self.evidence: dict[int, Evidence] = {}
        self.output: list[tuple[float, str]] = []

    def step(self, event: ev.Event, after: float = 0.0) -> Life:
        self.now += after
        self._record(step(self.instance, event, self.now))
        return self

    def deadline(self) -> Life:
        assert self.instance.deadline is not None
        self.now = max(self.now, self.instance.deadline)
        return self.step(ev.Timeout())

    def start(self) -> Life:
        """From wanting to be started until it runs."""
        if self.instance.state.value == "stopped":
            self.step(ev.Start())
        self.step(ev.StartPermitted()).step(ev.Spawned(self.instance.incarnation, 4242))
        if self.instance.spec.ready is not None:
            self.step(ev.Ready(self.instance.incarnation, "http"), 0.25)
        return self

    def crash(self, after: float, code: int | None = 3, signal: int | None = None) -> Life:
        return self.step(ev.Exited(self.instance.incarnation, code, signal, True), after)

    def beats(self, count: int = 20) -> Life:
        for _ in range(count):
            self.now += 1.0
            self.step(ev.Heartbeat(self.instance.incarnation, self.now))
        return self

    def examined(self, alive: bool = False, held: str | None = None, **evidence: Any) -> Life:
        return self.step(ev.SuspectExamined(self.instance.incarnation, alive, held, evidence), 0.1)

    def says(self, line: str, after: float = 0.0) -> Life:
        self.now += after
        self.output.append((T0 + self.now - 1000.0, line))
        return self

    def words(self, instance: str, since: float | None, until: float | None) -> list[str]:
        assert instance == "web@1"
        return [line for at, line in self.output if (since or 0.0) <= at < (until or 9e9)]

    def why(self, last: int = 3) -> Why:
        found = why(instance_view(self.instance, self.now), self.events, self.evidence.get, self.words, last)
        assert json.loads(json.dumps(found)) == found
        return found

    def told(self, last: int = 3) -> str:
        return "\n".join(tell(self.why(last)))

    def _record(self, actions: list[Action]) -> None:
        for action in actions:
            if not isinstance(action, Record):
                continue
            detail = dict(action.detail)
            number = len(self.events) + 1
            if "evidence" in detail:
                self.evidence[number] = detail.pop("evidence")
                detail["evidence_id"] = number
            self.events.append({
                "id": number, "at": to_iso(T0 + self.now - 1000), "service": action.service,
                "instance": action.instance, "incarnation": action.incarnation, "goal": action.goal.value,
                "from": action.before.value, "to": action.after.value, "cause": action.cause.value, "detail": detail,
            })  # fmt: skip


def assert_told(text: str, *parts: str) -> None:
    """All parts, in this order."""
    rest = text
    for part in parts:
        assert part in rest, f"{part!r} is missing, or not in its place, in:\n{text}"
        rest = rest.partition(part)[2]


def test_a_service_that_ends_with_0_is_told_as_a_failure_with_what_to_write() -> None:
    life = Life().start()
    life.step(ev.Exited(1, 0, None, tree_empty=True))
    assert_told(
        life.told(),
        "web@1 is exited, for 0 s: exited with code 0.",
        "failure of run 1: exited with code 0",
        'no restart: restart.policy = "on-failure"',
        'restart.policy = "always"; for a job that ends: type = "oneshot"',
    )


def test_a_program_that_goes_to_the_background_is_told_as_such() -> None:
    life = Life().start()
    life.step(ev.Exited(1, 0, None, tree_empty=False))
    life.step(ev.TreeEmpty(1))
    assert_told(
        life.told(),
        "exited with code 0 and left processes behind: went to the background?",
        "its child processes were still running and were signalled too",
        "start it with its option for the foreground",
    )


def test_what_is_read_where_no_row_of_the_status_tells() -> None:
    life = Life().start()
    name = {"name": "web@1", "service": "web"}
    absent = why(name, life.events, life.evidence.get, life.words)  # type: ignore[arg-type]
    assert absent["now"] == "no daemon answers; this is read from its ledger"
    removed = why(name, life.events, life.evidence.get, life.words, removed=True)  # type: ignore[arg-type]
    assert removed["now"] == "web@1 is no longer in the configuration; this is read from the ledger"


def test_a_process_that_is_stopped_waits_for_that() -> None:
    view = instance_view(Life().start().instance, 1000.0)
    view["paused"] = "stopped (SIGSTOP)"
    assert prospect(view) == {"what": "nothing until it can run again: stopped (SIGSTOP)", "in_s": None}


def test_what_drains_is_stopped_after_its_requests() -> None:
    view = instance_view(Life().start().instance, 1000.0)
    view["state"], view["drain_s"] = "stopping", 12.0
    told = "its requests are answered, then it is stopped; then it is started again; it is stopped in any case"
    assert prospect(view) == {"what": told, "in_s": 12.0}


def test_a_slow_start_that_becomes_ready_after_all_was_a_false_alarm() -> None:
    life = Life(ready=ReadySpec(http="http://x")).step(ev.Start())
    life.step(ev.StartPermitted()).step(ev.Spawned(1, 4242)).deadline()
    life.step(ev.Ready(1, "http"), 0.1)
    (incident,) = life.why()["incidents"]
    assert incident["cause"] == "start-timeout"
    assert incident["outcome"] == "false-alarm"


def test_it_never_failed() -> None:
    life = Life().start()
    life.now += 90
    story = life.why()
    assert (story["failures"], story["incidents"], story["next"]["in_s"]) == (0, [], None)
    assert tell(story) == [
        "web@1 is running and ready (run 1, pid 4242), for 1 min 30 s.",
        f"No failure recorded since {local_time(T0)}.",
        "",
        "Next: nothing, it is healthy.",
    ]


def test_a_rollout_of_its_service_that_failed_is_told() -> None:
    life = Life().start()
    row, said = instance_view(life.instance, life.now), "rolled back 4s ago (web@4: it ended)"
    story = why(row, life.events, life.evidence.get, life.words, rollout=said)
    assert story["rollout"] == said
    assert tell(story)[1] == "Last rollout of web: rolled back 4s ago (web@4: it ended)."


def test_what_became_of_its_target() -> None:
    life = Life(heartbeat=HeartbeatSpec(target=TargetSpec())).start()
    assert life.told().splitlines()[1] == (
        "Target: 5 s and 1/30d: not known yet (0 of 200 beats); until then suspected after 4.5 s of silence."
    )


def test_a_crash_its_backoff_and_its_return() -> None:
    life = Life(ready=ReadySpec(http="http://x")).start().crash(10.0)
    assert_told(
        life.told(),
        "web@1 is in backoff, for 0 s: exited with code 3.",
        "1 failure recorded since",
        "failure of run 1: exited with code 3",
        "seen      exited with code 3",
        "decided   restart after a backoff of 1 s: 1 of at most 2 within 1 min (attempt 1)",
        "after     not over yet: backoff",
        "Next, in 1 s: it is started again (attempt 1).",
    )
    life.deadline().start()
    assert life.why()["incidents"][0]["outcome"] == "recovered"
    assert_told(life.told(), "after     ready again after 1.2 s, as run 2", "Next: nothing, it is healthy.")


def test_each_crash_is_told_with_its_own_last_words() -> None:
    life = Life(restart=RestartSpec(initial=0.0, max_restarts=9)).start()
    life.says("ready", 1.0).says("cannot reach db").says(" ").crash(1.0).says("bye")  # read a little late
    life.now += 0.001
    life.start().says("x" * 500, 0.5).crash(0.001)
    life.now += 0.001
    life.start().says("third", 0.1)
    first, second = life.why()["incidents"]
    assert first["said"] == ["ready", "cannot reach db", "bye"]
    assert second["said"] == ["x" * 199 + "…"]
    assert_told(life.told(), "  output    ready", "            cannot reach db", "            bye", "  decided ")
    life.events = [event for event in life.events if event["incarnation"] > 1 or event["cause"] != "spawned"]
    life.output.insert(0, (1.0, "long ago"))
    assert life.why()["incidents"][0]["said"][0] == "long ago"  # no one knows since when it ran


def test_what_never_ran_is_not_told_with_the_words_of_the_one_before() -> None:
    life = Life(restart=RestartSpec(initial=0.0, max_restarts=9)).start().says("bye", 1.0).crash(0.1)
    life.step(ev.StartPermitted()).step(ev.SpawnFailed(2, "no such file"), 0.1)
    assert [incident["said"] for incident in life.why()["incidents"]] == [["bye"], []]


def test_who_was_looked_at_has_its_last_words_in_the_evidence() -> None:
    life = Life(heartbeat=HeartbeatSpec()).start().beats().says("waiting").deadline()
    assert life.why()["incidents"][0]["said"] == []
    life.examined(**EVIDENCE)
    (incident,) = life.why()["incidents"]
    assert incident["said"] == []
    assert "last output: waiting for lock 7" in incident["captured"]


def test_a_crash_loop_and_its_breaker() -> None:
    life = Life(ready=ReadySpec(http="http://x")).start().crash(10.0, None, 11)
    for _ in range(2):
        life.deadline().step(ev.StartPermitted()).step(ev.Spawned(life.instance.incarnation, 1)).crash(0.5, None, 11)
    story = life.why()
    assert [i["outcome"] for i in story["incidents"]] == ["failed-again", "failed-again", "open"]
    assert_told(
        life.told(1),
        f"3 failures recorded since {local_time(T0)}; the last 1:",
        "failure of run 3: killed by SIGSEGV",
        "decided   no restart: more than 2 restarts within 60 s; the breaker opens for 30 s",
        "after     not over yet: failed",
        "Next, in 30 s: it is tried once more (at once with: supervisor reset web@1).",
    )
    assert_told(life.told(), "after     it failed again 1.5 s later, before it was ready")
    life.deadline().start()
    assert_told(life.told(), "ready again after 30 s, as run 4", "Next: it is on trial")


def test_three_failures_are_told_unless_another_number_is_asked_for() -> None:
    life = Life(restart=RestartSpec(initial=1.0, max_restarts=9)).start()
    for _ in range(4):
        life.crash(5.0).deadline().start()
    story = why(instance_view(life.instance, life.now), life.events, life.evidence.get, life.words)
    assert [incident["incarnation"] for incident in story["incidents"]] == [2, 3, 4]
    assert len(life.why(4)["incidents"]) == 4


def test_a_hang_with_everything_that_was_seen_and_captured() -> None:
    life = Life(heartbeat=HeartbeatSpec()).start().beats().deadline()
    assert_told(life.told(), "is under suspicion", "suspicion of run 1", "Next: it is being examined")
    life.examined(**EVIDENCE)
    assert life.told().startswith("web@1 hangs at b.py:3 in take().\n")
    assert_told(life.told(), "Next, in 10 s: it is killed, unless it ends before; then it is started again.")
    life.deadline().step(ev.Exited(1, None, 9, True), 0.2)
    life.deadline().start()
    (incident,) = life.why()["incidents"]
    assert incident["detail"]["suspicion"] >= 8
    assert incident["evidence_id"] in life.evidence
    first, *told = life.told().splitlines()
    assert first == f"Last failure: web@1 hangs at b.py:3 in take() (run 1, {local_time(incident['at'])})."
    assert_told(
        "\n".join(told),
        "failure of run 1: no heartbeat for",
        "where     hangs at b.py:3 in take()",
        "seen      no heartbeat for",
        "before that, a heartbeat every 1 s (1 s … 1 s, last 16)",
        "detector phi: 8",
        "it was finally killed by SIGKILL",
        "the host was short of cpu 80 % (pressure of the last 10 s; load 9.5, 4, 2)",
        "captured  process 7 (web) was asleep, with 50 MiB of memory, 1.5 s of CPU time used, 12 open descriptors",
        "threads: 2 × asleep in futex_wait, running",
        "sockets with unread or unsent data: 127.0.0.1:1 ↔ 127.0.0.1:2 (2 KiB in, 0 B out)",
        "other processes: 2 × sh (asleep)",
        "process 7 was in take (b.py:3) ← <module> (b.py:9), by SIGUSR2",
        "no stack of process 8 by py-spy: Permission Denied",
        "process 9 wrote, asked by SIGUSR2: what?",
        "last output: waiting for lock 7",
        "no core file: the limit of its size is 0",
        "everything captured: supervisor why web@1 --evidence",
        "decided   signalled to end, 0.1 s after the suspicion",
        "did not stop within 10 s; killed",
        "restart after a backoff of 1 s: 1 of at most 2",
        "after     ready again after 11 s, as run 2",
        "Next, in 30 s: suspicion, unless a heartbeat comes",
    )


def test_one_incident_is_found_by_any_event_of_it() -> None:
    life = Life(heartbeat=HeartbeatSpec()).start().crash(5.0).deadline().start()
    life.beats().deadline().examined(**EVIDENCE).deadline().step(ev.Exited(1, None, 9, True), 0.2)
    row = instance_view(life.instance, life.now)
    crash, hang = incidents_of(row, life.events)
    assert headline(crash) == "failure of run 1: exited with code 3"
    assert headline(hang).startswith("failure of run 2: no heartbeat for")
    assert evidence_of(crash) is None
    assert evidence_of(hang) in life.evidence
    for incident, told in zip((crash, hang), life.why()["incidents"], strict=True):
        for event in incident.events:
            assert one_incident(row, life.events, event["id"], life.evidence.get, life.words) == told
    assert one_incident(row, life.events, 1, life.evidence.get, life.words) is None
    assert one_incident({"name": "web@1", "service": "web"}, [], 1, life.evidence.get, life.words) is None


def test_a_false_alarm_has_no_place_where_it_hung() -> None:
    life = Life(heartbeat=HeartbeatSpec()).start().beats().deadline().examined(alive=True, **EVIDENCE)
    (incident,) = incidents_of({"name": "web@1", "service": "web"}, life.events)
    assert headline(incident).startswith("false alarm of run 1")
    assert evidence_of(incident) is None


def test_where_the_core_file_is() -> None:
    core = {"pattern": "core.%p", "limit_bytes": None, "directory": "/srv"}
    life = Life(heartbeat=HeartbeatSpec()).start().beats().deadline().examined(core=core)
    assert_told(life.told(), "core file requested: pattern core.%p, in /srv")


def test_a_false_alarm() -> None:
    life = Life(heartbeat=HeartbeatSpec(min_timeout=3.0)).start().beats().deadline().examined(alive=True)
    life.beats(1)
    story = life.why()
    assert (story["failures"], story["false_alarms"]) == (0, 1)
    assert_told(
        life.told(),
        "No failure and 1 false alarm recorded",
        "false alarm of run 1: no heartbeat for",
        "decided   kept running; answered when probed: false alarm",
        "after     cleared after 0.1 s; run 1",
        "Next, in 3 s: suspicion, unless a heartbeat comes",
    )


def test_a_silence_that_proves_nothing() -> None:
    life = Life(heartbeat=HeartbeatSpec()).start().beats().deadline().examined(held="stopped (SIGSTOP)")
    assert_told(
        life.told(),
        "possible reason for the silence: stopped (SIGSTOP)",
        "Next: it is examined again; silence is not counted: stopped (SIGSTOP).",
    )


def test_a_silence_that_is_only_reported_says_so_for_what_is_next() -> None:
    life = Life(heartbeat=HeartbeatSpec(on_suspect=Suspicion.REPORT)).start().beats().deadline().examined()
    assert life.why()["next"]["what"] == 'nothing is done to it (on_suspect = "report"); a heartbeat clears it'


def test_each_hold_is_told_with_its_numbers() -> None:
    life = Life(heartbeat=HeartbeatSpec()).start().beats().deadline()
    life.examined(held="starved of CPU", waited={"share": 0.95, "ran_s": 0.02}).deadline().examined().beats(1)
    story = life.why()
    assert (story["failures"], story["false_alarms"]) == (0, 0), "whether it hangs is not known yet"
    assert_told(
        life.told(),
        "suspicion of run 1",
        "decided   held, 0.1 s after the suspicion: starved of CPU; it had waited 95 % of the time",
        "; 0 s counted as silence",
        "kept running; it can run again; silence counts from now on",
        "not decided after 1.2 s: it got more time, and run 1 continues",
    )


def test_a_silence_in_which_we_did_not_run_is_told_though_it_was_no_suspicion() -> None:
    life = Life(heartbeat=HeartbeatSpec()).start().beats()
    life.step(ev.DaemonStalled(30.0), 40.0)
    assert len(life.why()["excused"]) == 1
    assert_told(life.told(), "Silence was not counted once, last at", "this supervisor did not run itself for 30 s.")
    life.step(ev.DaemonStalled(40.0), 75.0)
    assert_told(life.told(), "Silence was not counted 2 times, last at", "this supervisor did not run itself for 40 s.")


def test_that_we_were_late_ourselves_is_told_of_a_suspicion() -> None:
    life = Life(heartbeat=HeartbeatSpec()).start().beats()
    life.step(ev.Timeout(1.5), 60.0)
    assert_told(life.told(), "the daemon itself had run late, so it waited up to 1.5 times as long")


def test_only_reported() -> None:
    life = Life(resources=ResourcesSpec(max_memory=100, action=Reaction.REPORT)).start()
    life.step(ev.LimitExceeded(1, "memory", 200.0, 100.0))
    assert life.why()["failures"] == 0


def test_a_suspicion_that_is_only_reported() -> None:
    spec = HeartbeatSpec(on_suspect=Suspicion.REPORT)
    life = Life(heartbeat=spec).start().beats().deadline().examined(**EVIDENCE)
    assert_told(life.told(), "suspicion of run 1", "decided   only reported, as configured")


def test_a_hang_before_the_first_heartbeat() -> None:
    life = Life(heartbeat=HeartbeatSpec()).start().deadline().examined()
    assert_told(life.told(), "seen      no heartbeat since it became ready", "; the longest allowed silence")
    assert "before, a heartbeat came" not in life.told()
    for event in life.events:
        event["detail"].pop("suspicion", None)
    assert "threshold" not in life.told()


def test_a_oneshot_runs_to_completion() -> None:
    life = Life(type=ServiceType.ONESHOT).start()
    assert_told(life.told(), "web@1 is running (run 1", "Next: it runs to completion.")


def test_a_breaker_that_only_a_person_closes() -> None:
    life = Life(restart=RestartSpec(max_restarts=0)).start().crash(1.0)
    view: instance_documents.Instance = {**instance_view(life.instance, life.now), "next_restart_in_s": None}
    assert why(view, life.events, life.evidence.get, life.words)["next"] == {
        "what": "nothing until it is reset (supervisor reset web@1)", "in_s": None}  # fmt: skip


def test_a_limit_and_a_start_that_leads_nowhere() -> None:
    life = Life(resources=ResourcesSpec(max_memory=100)).start()
    life.step(ev.LimitExceeded(1, "memory", 2 * 1024**2, 1024**2)).examined().crash(0.5, 0)
    assert_told(life.told(), "seen      uses too much memory: 2 MiB of 1 MiB", "it finally exited with code 0")
    life = Life(ready=ReadySpec(http="http://x")).step(ev.Start()).step(ev.StartPermitted()).step(ev.Spawned(1, 5))
    assert_told(life.told(), "Next, in 30 s: the start fails, unless it becomes ready before.")
    life.step(ev.ProbeFailed(1, "connection refused")).deadline()
    life.step(ev.SuspectExamined(1, False, None, {})).crash(0.5, 0)
    assert_told(
        life.told(),
        "seen      not ready within 30 s",
        "last probe: connection refused",
        "signalled to end, at once",
    )


def test_a_start_that_took_too_long_says_whether_it_spoke() -> None:
    life = Life(ready=ReadySpec(notify=True), heartbeat=HeartbeatSpec(source="notify"))
    life.step(ev.Start()).step(ev.StartPermitted()).step(ev.Spawned(1, 7)).deadline()
    assert_told(life.told(), "seen      not ready within 30 s", "it sent no notification at all (sd_notify)")
    life = Life(ready=ReadySpec(notify=True, notify_access=NotifyAccess.MAIN))
    life.step(ev.Start()).step(ev.StartPermitted()).step(ev.Spawned(1, 7)).step(ev.NotifyRefused(1, 8)).deadline()
    assert_told(
        life.told(), "seen      not ready within 30 s", "its main process sent no notification; those of others"
    )
    life = Life(ready=ReadySpec(notify=True), heartbeat=HeartbeatSpec(source="notify"))
    life.step(ev.Start()).step(ev.StartPermitted()).step(ev.Spawned(1, 7))
    life.step(ev.Notified(1), 1.0).step(ev.StatusText(1, "loading 3 of 9")).step(ev.Heartbeat(1, 1002.0), 1.0)
    assert_told(life.told(), "web@1 is starting (run 1, pid 7), for 2 s: runs; its STATUS: loading 3 of 9 (1 s ago).")
    life.deadline()
    assert_told(life.told(), "seen      not ready within 30 s", "it sent 2 notifications, the last 28 s before",
                "last STATUS, 29 s before: loading 3 of 9")  # fmt: skip


def test_a_status_whose_age_is_not_known() -> None:
    life = Life().start().step(ev.StatusText(1, "working"))
    assert_told(life.told(), "is running and ready (run 1, pid 4242), for 0 s; its STATUS: working (0 s ago).")
    life.instance.status_at = None
    assert_told(life.told(), "is running and ready (run 1, pid 4242), for 0 s; its STATUS: working.")


def test_a_reload_that_is_under_way_or_did_not_end() -> None:
    life = Life(ready=ReadySpec(notify=True, notify_reload=True), start_timeout=30.0).start()
    life.step(ev.SendSignal(1)).step(ev.Notified(1), 2.0)
    assert_told(life.told(), "; it has not answered its reload signal for 2 s.")
    life.step(ev.ReloadBegun(1)).step(ev.Notified(1), 3.0)
    assert_told(life.told(), "; it has been reloading its configuration for 5 s.")
    life.step(ev.Ready(1, "notify"))
    assert "reload" not in life.told().splitlines()[0]
    life.step(ev.ReloadBegun(1)).deadline()
    assert_told(life.told(), "; its reload, begun 30 s ago, did not end in time.")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["conn"], "for its next process it has stored a descriptor: conn."),
        (["conn", "state", "conn"], "for its next process it has stored descriptors: conn (2), state."),
    ],
)
def test_what_it_has_stored(names: list[str], said: str) -> None:
    life = Life().start()
    row = instance_view(life.instance, life.now)
    row["stored"] = names
    assert standing(row).endswith(said.removesuffix("."))


def test_what_it_said_of_its_failure() -> None:
    life = Life().start().step(ev.ErrorTold(1, 13, "Permission denied", "org.example.No")).crash(1.0, 4)
    assert_told(life.told(), "it said: Permission denied (ERRNO=13), org.example.No\n")


def test_the_last_order_says_who_gave_it() -> None:
    by = {"uid": 0, "user": "root", "pid": 123, "command": ["/usr/bin/supervisor", "stop", "web"]}
    life = Life().start()
    assert life.why()["last_order"] is None
    life.step(ev.Start(by=by)).step(ev.SendSignal(1, by), 1.0).step(ev.Stop(by=by), 1.0).crash(1.0, None, 15)
    assert life.why()["last_order"] == {
        "at": to_iso(T0 + 2.0), "says": "stopped by root, with `supervisor stop web` (pid 123)",
    }  # fmt: skip
    assert_told(life.told(), "stopped by root, with `supervisor stop web`")


def test_a_reload_that_was_refused_is_told_until_one_has_passed() -> None:
    refused = ev.ReloadRefused(1, "exit code 3", ("conf:1: unknown word", "x" * 300))
    life = Life().start()
    assert "refused" not in life.why()
    life.step(refused, 1.0).step(ev.Reset(), 1.0)
    assert life.why()["refused"] == {
        "at": to_iso(T0 + 1.0),
        "says": "SIGHUP was not sent, because reload_check has not passed: exit code 3",
        "output": ["conf:1: unknown word", "x" * 200],
    }
    assert_told(
        life.told(), "reload_check has not passed: exit code 3.  It runs on as it was:", "  conf:1: unknown word"
    )
    life.step(ev.SendSignal(1), 1.0)
    assert "refused" not in life.why()
    life.step(refused, 1.0).crash(10.0, 1)
    life.step(ev.Timeout(), 10.0).step(ev.StartPermitted()).step(ev.Spawned(2, 5))
    assert "refused" not in life.why()


@pytest.mark.parametrize(("after", "said"), [(0.2, True), (10.5, False)])
def test_an_end_soon_after_a_signal_is_told_with_it_as_long_as_it_fails(after: float, said: bool) -> None:
    life = Life(ready=ReadySpec(notify=True)).start().step(ev.SendSignal(1)).crash(after, 78)
    assert ("exited with code 78, 0.2 s after SIGHUP" in life.told()) is said
    assert ("the order: " in life.told()) is said
    assert "fails_since" not in life.why(), "it is told as an incident"
    for _ in range(3):
        life.deadline().step(ev.StartPermitted()).step(ev.Spawned(life.instance.incarnation, 7)).crash(0.1, 78)
    found = {"at": to_iso(T0 + 0.25 + 0.2), "says": "exited with code 78, 0.2 s after SIGHUP"}
    assert life.why().get("fails_since") == (found if said else None)
    assert ("It fails since" in life.told()) is said
    life.deadline().step(ev.StartPermitted()).step(ev.Spawned(life.instance.incarnation, 7)).crash(0.1, 78)
    runs = [incident["incarnation"] for incident in life.why()["incidents"]]
    assert runs == ([1, 3, 4, 5] if said else [3, 4, 5])
    which = "the one since which it fails, and the last 3:" if said else "the last 3:"
    assert_told(life.told(), f"5 failures recorded since {local_time(T0)}; {which}")
    life.deadline().start()
    assert "fails_since" not in life.why(), "it is ready again"


def test_an_end_soon_after_a_signal_is_told_with_the_order() -> None:
    life = Life().start().step(ev.SendSignal(1)).crash(20.0, 3).deadline()
    by = {"uid": 0, "user": "root", "pid": 123, "command": ["supervisor", "signal", "web"]}
    life.start().step(ev.SendSignal(10), 1.0).step(ev.SendSignal(1, by), 1.0).crash(0.2, 78)
    at = local_time(life.events[-2]["at"])
    before, last = life.why()["incidents"]
    assert not [line for line in before["seen"] if "order" in line]
    assert last["seen"][0] == f"the order: SIGHUP sent by root, with `supervisor signal web` (pid 123), at {at}"


def test_a_process_that_ended_by_the_signal_of_a_user_has_not_failed() -> None:
    life = Life().start().step(ev.SendSignal(9)).crash(1.0, None, 9)
    assert_told(life.told(), "No failure recorded")
    life.step(ev.StartPermitted()).step(ev.Spawned(2, 5)).step(ev.SendSignal(9)).crash(11.0, None, 9)
    assert life.why()["failures"] == 1


def test_what_cannot_be_started() -> None:
    error = "No such file or directory: " + "/long" * 30
    life = Life().step(ev.Start()).step(ev.StartPermitted()).step(ev.SpawnFailed(1, error))
    assert_told(life.told(), f": cannot be started: {error}.\n", f"seen      cannot be started: {error}")


def test_why_nothing_could_be_started_is_told_until_something_is() -> None:
    error = "no haproxy on this machine; install 2.6 or newer (package haproxy)"
    life = Life().step(ev.Start()).step(ev.StartPermitted()).step(ev.SpawnFailed(1, error))
    row = instance_view(life.instance, life.now)
    assert row["start_error"] == error
    assert settled("start", "web@1", {"web@1": {**row, "incarnation": 3}}, {"web@1": 0}) == (
        f"cannot be started: {error}, 3 times; next try follows"
    )
    life.step(ev.Stop(), 0.5)
    assert ending(instance_view(life.instance, life.now)).get("error") is None
    life.step(ev.Start()).step(ev.StartPermitted()).step(ev.Spawned(2, 5))
    assert instance_view(life.instance, life.now)["start_error"] is None


def test_a_failure_in_maintenance_is_not_told_as_decided_by_its_policy() -> None:
    life = Life().start().step(ev.BeginMaintenance(T0)).crash(1.0)
    assert_told(life.told(), "decided   left as it is, in maintenance; at the end of that its restart policy decides")


def test_the_list_that_decided_is_told() -> None:
    life = Life(restart=RestartSpec(exit_codes=ExitCodesSpec(never=(64,)))).start().crash(1.0, 64)
    assert_told(life.told(), "decided   no restart: restart.exit_codes.never has 64")


def test_a_person_stepped_in() -> None:
    life = Life().start().crash(10.0).step(ev.Reset(), 0.5)
    life.step(ev.StartPermitted()).step(ev.Spawned(2, 5))
    story = life.why()
    assert story["incidents"][0]["by_person"]
    assert_told(life.told(), "decided   breaker and backoff reset by the user", "after     ready again after 0.5 s")
    life.crash(10.0).step(ev.Stop(), 1.0)
    assert_told(life.told(), "stopped by the user", "after     stopped after 1 s",
                "Next: nothing until it is started (supervisor start web@1).")  # fmt: skip


def test_a_policy_that_wants_no_restart() -> None:
    life = Life(restart=RestartSpec(policy=Policy.NEVER)).start().crash(1.0)
    assert_told(life.told(), 'decided   no restart: restart.policy = "never"',
                "Next: nothing: its policy does not restart it (supervisor start web@1).")  # fmt: skip
    life = Life(type=ServiceType.ONESHOT).start().crash(1.0, 0)
    assert_told(life.told(), "exited, for 0 s: ran to completion", "No failure recorded", "Next: nothing, it is done.")


def test_waiting_for_a_dependency() -> None:
    life = Life().step(ev.Start())
    life.instance.waiting_for = "redis"
    story = life.why()
    assert story["next"] == {"what": "it is started; it still waits for redis", "in_s": None}
    life.step(ev.StartPermitted())
    assert life.why()["next"]["what"] == "its process is being started"


def test_a_tree_that_stays_behind() -> None:
    life = Life().start().step(ev.Exited(1, 1, None, False), 5.0).deadline()
    life.step(ev.KillIncomplete(1, ("77 (D)",)))
    assert_told(
        life.told(),
        "its child processes were still running and were signalled too",
        "did not stop within 10 s; killed",
        "killed, but still present: 77 (D)",
        "Next, in 5 s: it is killed again; still present: 77 (D).",
    )


def test_evidence_that_is_not_kept_any_longer() -> None:
    life = Life(heartbeat=HeartbeatSpec()).start().beats().deadline().examined(**EVIDENCE)
    number = next(iter(life.evidence))
    life.evidence.clear()
    assert_told(life.told(), f"captured  evidence {number}, no longer kept")


@pytest.mark.parametrize(
    "body", [{}, {"processes": [{}]}, {"host": {}, "last_lines": None}, {"host": {"psi": {"cpu": {}}}}]
)
def test_poor_evidence_is_no_error(body: Evidence) -> None:
    life = Life(heartbeat=HeartbeatSpec()).start().beats().deadline().examined(a=1)
    life.evidence = dict.fromkeys(life.evidence, body)
    assert "everything captured" in life.told()


def test_without_a_supervisor_the_past_is_told_all_the_same() -> None:
    life = Life().start().crash(10.0)
    story = why({"name": "web@1", "service": "web"}, life.events, life.evidence.get, life.words)
    assert_told("\n".join(tell(story)), "no daemon answers", "exited with code 3", "Next: nothing until")


def test_other_instances_are_passed_over() -> None:
    life = Life().start().crash(10.0)
    for event in life.events:
        event["instance"] = "web@2"
    assert life.why()["failures"] == 0
    assert life.why(0)["incidents"] == []
