"""The rules between instances, in a small simulated world, and the invariants that always hold."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.core.lifecycle.instance import Instance
from supervisor.core.lifecycle.snapshot import Phase
from supervisor.core.model import actions as act
from supervisor.core.model import events as ev
from supervisor.core.model.actions import Goal, Record, State
from supervisor.core.model.causes import FAILURES, Cause
from supervisor.core.model.plain import from_plain
from supervisor.core.model.spec import Plan, ServiceSpec, SupervisorSpec
from supervisor.core.services import service_set
from supervisor.core.services.plan_diff import difference
from supervisor.core.services.service_set import ServiceSet


def spec(name: str, **keys: Any) -> ServiceSpec:
    keys.setdefault("restart", {"jitter": 0.0, "initial": 1.0})
    return from_plain(ServiceSpec, {"name": name, "command": ["x"], **keys})


class World:
    """Carries out orders in virtual time: spawns succeed, stops are obeyed at once, unless told otherwise."""

    def __init__(self, *services: ServiceSpec, slots: int = 8) -> None:
        self.plan = Plan(supervisor=SupervisorSpec(max_concurrent_restarts=slots), services=services)
        self.service_set = ServiceSet(self.plan, lambda: 0.5)
        self.now = 100.0
        self.live: dict[str, int] = {}
        self.records: list[Record] = []
        self.order: list[str] = []
        self.obedient = True
        self.spawns = True
        self._todo: deque[tuple[str, ev.Event]] = deque()

    def __getitem__(self, name: str) -> Instance:
        return self.service_set.instances[name]

    def states(self) -> dict[str, str]:
        return {i.name: i.state.value for i in self.service_set.instances.values()}

    def take(self, actions: list[act.Action]) -> None:
        """Carry out orders, and what follows from them, until nothing follows."""
        self._carry_out(actions)
        while self._todo:
            name, event = self._todo.popleft()
            self._carry_out(self.service_set.step(name, event, self.now))

    def _carry_out(self, actions: list[act.Action]) -> None:
        for action in actions:
            if isinstance(action, Record):
                self.records.append(action)
            elif isinstance(action, act.Spawn):
                self._spawn(action)
            elif isinstance(action, act.Signal) and self.obedient:
                self._end(action.instance, action.incarnation, None, 15)
            elif isinstance(action, act.Kill):
                self._end(action.instance, action.incarnation, None, 9)
            elif isinstance(action, act.Examine):
                self._todo.append((action.instance, ev.SuspectExamined(action.incarnation, False, None)))

    def _spawn(self, action: act.Spawn) -> None:
        assert action.instance not in self.live, "two live incarnations"
        assert self[action.instance].goal is Goal.UP, "spawned although wanted down"
        self.order.append(f"+{action.instance}")
        if self.spawns:
            self.live[action.instance] = action.incarnation
            self._todo.append((action.instance, ev.Spawned(action.incarnation, 1000)))
        else:
            self._todo.append((action.instance, ev.SpawnFailed(action.incarnation, "no such file")))

    def _end(self, name: str, incarnation: int, code: int | None, signal: int | None) -> None:
        if self.live.get(name) == incarnation:
            del self.live[name]
            self.order.append(f"-{name}")
            self._todo.append((name, ev.Exited(incarnation, code, signal, tree_empty=True)))

    def start(self, *names: str) -> None:
        self.take(self.service_set.start(names or list(self.service_set.instances), self.now))

    def stop(self, *names: str) -> None:
        self.take(self.service_set.stop(names or list(self.service_set.instances), self.now))

    def post(self, name: str, event: ev.Event) -> None:
        self.take(self.service_set.step(name, event, self.now))

    def ready(self, name: str) -> None:
        self.post(name, ev.Ready(self[name].incarnation, "test"))

    def dies(self, name: str, code: int = 1) -> None:
        self._end(name, self.live[name], code, None)
        self.take([])

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while (deadline := self.service_set.deadline) is not None and deadline <= end:
            self.now = max(self.now, deadline)
            self.take(self.service_set.tick(self.now))
        self.now = end


def test_dependants_wait_for_readiness_and_stop_first() -> None:
    world = World(spec("redis", ready={"tcp": "x"}), spec("web", depends_on=["redis"]))
    world.start()
    assert world.states() == {"redis": "starting", "web": "starting"}
    assert world["web"].waiting_for == "redis"
    world.ready("redis")
    assert world.states() == {"redis": "running", "web": "running"}
    world.obedient = False
    world.stop()
    assert world.states() == {"redis": "running", "web": "stopping"}
    assert world["redis"].goal is Goal.DOWN
    world._end("web", 1, 0, None)
    world.take([])
    assert world.states() == {"redis": "stopping", "web": "stopped"}
    world.advance(10)
    assert world.states() == {"redis": "stopped", "web": "stopped"}
    assert world.service_set.all_down
    assert world.order == ["+redis", "+web", "-web", "-redis"]


def test_start_of_one_starts_what_it_needs() -> None:
    world = World(spec("a"), spec("b", depends_on=["a"]), spec("c"))
    world.start("b")
    assert world.states() == {"a": "running", "b": "running", "c": "stopped"}
    assert world.service_set.dependants("a") == ["b"]


def test_what_is_to_be_kept_is_not_started_for_a_dependant() -> None:
    world = World(spec("db"), spec("web", depends_on=["db"]))
    world.take(world.service_set.start(["web"], world.now, keep={"db"}))
    assert world.states() == {"db": "stopped", "web": "starting"}
    world.start("web")
    assert world.states() == {"db": "running", "web": "running"}


def test_a_dependant_waits_for_the_success_of_a_oneshot() -> None:
    world = World(spec("migrate", type="oneshot"), spec("web", depends_on=["migrate"]))
    world.start()
    assert world.states() == {"migrate": "running", "web": "starting"}
    world.dies("migrate", 1)
    assert world.states() == {"migrate": "backoff", "web": "starting"}
    world.advance(1)
    world.dies("migrate", 0)
    assert world.states() == {"migrate": "exited", "web": "running"}


def test_what_has_run_to_completion_is_not_run_again_for_a_dependant() -> None:
    world = World(spec("migrate", type="oneshot"), spec("web", depends_on=["migrate"]))
    world.start()
    world.dies("migrate", 0)
    world.stop("web")
    world.start("web")
    assert world.states() == {"migrate": "exited", "web": "running"}
    world.start("migrate")
    assert world.states() == {"migrate": "running", "web": "running"}


def test_all_replicas_must_be_ready() -> None:
    world = World(spec("db", replicas=2, ready={"tcp": "x"}), spec("web", depends_on=["db"]))
    world.start()
    world.ready("db@1")
    assert world["web"].state is State.STARTING
    world.ready("db@2")
    assert world["web"].state is State.RUNNING


def test_no_more_than_so_many_restart_at_once() -> None:
    services = [spec(f"s{i}", ready={"tcp": "x"}, restart={"initial": 0.0}) for i in range(5)]
    world = World(*services, slots=2)
    world.start()
    assert len(world.live) == 5, "a first start is not braked"
    for s in services:
        world.ready(s.name)
    for s in services:
        world.dies(s.name)
    assert len(world.live) == 2
    assert world["s4"].waiting_for == "a restart slot"
    world.ready("s0")
    assert sorted(world.live) == ["s0", "s1", "s2"]
    world.dies("s1")
    assert len(world.live) == 3, "the slot of a failed restart is free again"
    world.obedient = False
    world.stop("s2")
    assert (world["s2"].state, len(world.live)) == (State.STOPPING, 4), "what is being stopped takes no slot"


def test_a_start_by_order_takes_no_slot_also_after_a_recovery() -> None:
    services = [spec(name, ready={"tcp": "x"}, restart={"initial": 0.0}) for name in ("a", "b")]
    world = World(*services, slots=1)
    world.start()
    for name in ("a", "b"):
        world.ready(name)
    world.dies("a")
    world.ready("a")
    world.dies("b")
    world.stop("a")
    world.start("a")
    assert sorted(world.live) == ["a", "b"]


@pytest.mark.parametrize(
    ("strategy", "failing", "restarted"),
    [
        ("one-for-one", "b", {"b"}),
        ("one-for-all", "b", {"a", "b", "c"}),
        ("rest-for-one", "b", {"b", "c"}),
        ("rest-for-one", "a", {"a", "b", "c"}),
    ],
)
def test_strategies(strategy: str, failing: str, restarted: set[str]) -> None:
    rule = {"strategy": strategy, "initial": 0.0}
    names = ("a", "b", "c")
    world = World(*(spec(n, group_name="g", restart=rule) for n in names), spec("other"))
    world.start()
    world.dies(failing)
    assert {n for n in (*names, "other") if world[n].incarnation == 2} == restarted
    assert all(i.state is State.RUNNING for i in world.service_set.instances.values())
    counted = {r.instance for r in world.records if r.cause in FAILURES}
    assert counted == {failing}, "being restarted with another is no failure"
    assert {n for n in names if world[n].tracker.attempt} == {failing}


def test_a_failed_spawn_restarts_the_group_too() -> None:
    rule = {"strategy": "one-for-all", "initial": 0.0, "max_restarts": 1}
    world = World(spec("a", group_name="g", restart=rule), spec("b", group_name="g", restart=rule))
    world.start("b")
    world.spawns = False
    world.start("a")
    assert [r for r in world.records if r.instance == "b" and r.cause is Cause.GROUP_RESTARTED]


def test_a_stopped_member_is_not_restarted_with_its_group() -> None:
    rule = {"strategy": "one-for-all", "initial": 0.0}
    world = World(spec("a", group_name="g", restart=rule), spec("b", group_name="g", restart=rule))
    world.start()
    world.stop("b")
    world.dies("a")
    assert world.states() == {"a": "running", "b": "stopped"}


def test_dependants_restart_with_a_dependency_only_where_asked() -> None:
    world = World(
        spec("db"),
        spec("web", depends_on=["db"], on_dependency_restart="restart"),
        spec("job", depends_on=["db"]),
    )
    world.start()
    world.dies("db")
    world.advance(1)
    assert world["web"].incarnation == 2
    assert world["job"].incarnation == 1
    assert any(r.cause is Cause.DEPENDENCY_RESTARTED for r in world.records)


def test_fallback_runs_while_the_breaker_is_open() -> None:
    rule = {"max_restarts": 0, "cooldown": 5.0, "reset_after": 1.0, "fallback": "page", "initial": 0.0}
    world = World(spec("web", restart=rule), spec("page", autostart=False))
    world.start("web")
    world.dies("web")
    assert world.states() == {"web": "failed", "page": "running"}
    world.order.clear()
    world.advance(5)
    assert world.states() == {"web": "running", "page": "stopped"}
    assert world.order == ["-page", "+web"], "they may want the same port"
    world.dies("web")
    assert world.states() == {"web": "failed", "page": "running"}
    world.stop("web")
    assert world.states() == {"web": "stopped", "page": "stopped"}


def test_a_fallback_goes_on_while_another_service_needs_it() -> None:
    rule = {"max_restarts": 0, "reset_after": 1.0, "fallback": "page", "initial": 0.0}
    web, api = (spec(name, restart=rule | {"cooldown": cooldown}) for name, cooldown in (("web", 5.0), ("api", 50.0)))
    world = World(web, api, spec("page", autostart=False))
    world.start("web", "api")
    world.dies("web")
    world.dies("api")
    world.order.clear()
    world.advance(5)
    assert world.states() == {"web": "running", "api": "failed", "page": "running"}
    assert world.order == ["+web"]
    world.dies("web")
    world.stop("web")
    assert world.states() == {"web": "stopped", "api": "failed", "page": "running"}
    world.advance(45)
    assert world.states() == {"web": "stopped", "api": "running", "page": "stopped"}


def test_a_fallback_is_stopped_for_what_it_shares_a_socket_with() -> None:
    """Its own sockets and those of the service that is tried again would be answered by both."""
    rule = {"max_restarts": 0, "fallback": "page", "initial": 0.0}
    held = [{"url": "tcp://127.0.0.1:80"}]
    web = spec("web", restart=rule | {"cooldown": 5.0}, sockets=held)
    api = spec("api", restart=rule | {"cooldown": 50.0})
    world = World(web, api, spec("page", autostart=False, sockets=held))
    world.start("web", "api")
    world.dies("web")
    world.dies("api")
    world.order.clear()
    world.advance(5)
    assert world.order == ["-page", "+web"]


def test_each_instance_of_a_service_takes_the_place_of_its_fallback() -> None:
    rule = {"max_restarts": 0, "cooldown": 5.0, "fallback": "page", "initial": 0.0}
    world = World(spec("web", replicas=2, restart=rule), spec("page", autostart=False))
    world.start("web@1", "web@2")
    world.dies("web@1")
    world.advance(1)
    world.dies("web@2")
    world.advance(4)
    assert world.states() == {"web@1": "running", "web@2": "failed", "page": "stopped"}


def test_a_dependency_that_fails_while_a_slot_is_awaited_is_waited_for_again() -> None:
    slow = {"jitter": 0.0, "initial": 50.0}
    world = World(
        spec("db", restart=slow), spec("web", depends_on=["db"]), spec("other", ready={"notify": True}), slots=1
    )
    world.start()
    world.take(world.service_set.step("other", ev.Ready(1, "notify"), world.now))
    world.dies("other")
    world.advance(1)
    world.dies("web")
    world.advance(1)
    assert world["web"].waiting_for == "a restart slot"
    world.dies("db")
    world.take(world.service_set.step("other", ev.Ready(2, "notify"), world.now))
    assert (world["web"].waiting_for, world["web"].state) == ("db", State.STARTING)
    world.advance(50)
    assert world.states() == {"db": "running", "web": "running", "other": "running"}


@pytest.mark.parametrize("begins", ["cooldown", "start", "restart", "reset"])
def test_a_trial_waits_until_the_fallback_is_gone(begins: str) -> None:
    rule = {"max_restarts": 0, "cooldown": 5.0, "fallback": "page", "initial": 0.0}
    world = World(spec("web", restart=rule), spec("page", autostart=False))
    world.start("web")
    world.dies("web")
    world.order.clear()
    world.obedient = False
    if begins == "cooldown":
        world.advance(5)
    else:
        world.take(getattr(world.service_set, begins)(["web"], world.now))
    assert world.states() == {"web": "starting", "page": "stopping"}
    assert (world["web"].waiting_for, world.order) == ("page", [])
    world.advance(60)
    assert world.states() == {"web": "running", "page": "stopped"}
    assert world.order == ["-page", "+web"], "killed after its stop timeout, and only then"


def test_a_crash_after_the_stop_order_restarts_nothing() -> None:
    world = World(spec("db"), spec("web", depends_on=["db"]))
    world.start()
    world.obedient = False
    world.stop()
    world.dies("db")
    assert world.states() == {"db": "stopped", "web": "stopping"}
    world.advance(100)
    assert world.service_set.all_down


def test_shutdown_starts_nothing_and_a_second_one_kills() -> None:
    world = World(spec("a"), spec("b", depends_on=["a"]), spec("c", restart={"initial": 5.0}))
    world.start()
    world.dies("c")
    world.obedient = False
    world.take(world.service_set.shutdown(world.now))
    assert world.states() == {"a": "running", "b": "stopping", "c": "stopped"}
    world.take(world.service_set.kill(world.now))
    assert world.service_set.all_down


def test_restart_and_reset_by_name() -> None:
    world = World(spec("a"), spec("b", group_name="g"), spec("c", group_name="g"))
    world.start()
    assert world.service_set.names("g") == ["b", "c"]
    assert world.service_set.names("nobody") == []
    world.take(world.service_set.restart(["b"], world.now))
    assert [world[n].incarnation for n in "abc"] == [1, 2, 1]
    world.dies("a")
    world.take(world.service_set.reset(["a"], world.now))
    assert world["a"].incarnation == 2
    assert world["a"].tracker.attempt == 0


def test_apply_touches_only_what_changed() -> None:
    keep, change, gone = spec("keep"), spec("change"), spec("gone", depends_on=["keep"])
    world = World(keep, change, gone, spec("tuned"))
    world.start()
    plan = Plan(
        supervisor=SupervisorSpec(name="other"),
        services=(
            keep,
            replace(change, command=("y",)),
            replace(spec("tuned"), stop_timeout=1.0),
            spec("new"),
            spec("manual", autostart=False),
        ),
    )
    assert world.service_set.difference(plan).changed == {"change": ("command",), "tuned": ("stop_timeout",)}
    difference, actions = world.service_set.apply(plan, world.now)
    world.take(actions)
    assert difference.supervisor == ("name",)
    assert {n: i.incarnation for n, i in world.service_set.instances.items()} == {
        "keep": 1,
        "change": 2,
        "tuned": 1,
        "new": 1,
        "manual": 0,
    }
    assert world["tuned"].spec.stop_timeout == 1.0
    assert "gone" not in world.service_set.instances
    assert difference.unchanged == 1
    back, actions = world.service_set.apply(world.plan, world.now)
    world.take(actions)
    assert back.added == ("gone",)
    assert world["gone"].state is State.RUNNING


def test_what_is_no_longer_configured_cannot_be_started_again() -> None:
    world = World(spec("keep"), spec("gone", depends_on=["keep"]))
    world.start()
    world.obedient = False
    _, actions = world.service_set.apply(replace(world.plan, services=(spec("keep"),)), world.now)
    world.take(actions)
    assert world["gone"].state is State.STOPPING
    assert world.service_set.names("gone") == []
    assert world.service_set.names("keep") == ["keep"]


def test_a_renamed_service_starts_only_after_the_old_one_has_ended() -> None:
    """Both may use the same port."""
    world = World(spec("keep"), spec("old", depends_on=["keep"]))
    world.start()
    world.obedient = False
    renamed = replace(world.plan, services=(spec("keep"), spec("new", depends_on=["keep"])))
    world.take(world.service_set.apply(renamed, world.now)[1])
    assert world.states() == {"keep": "running", "new": "starting", "old": "stopping"}
    assert world["new"].waiting_for == "old, which is being removed"
    world._end("old", 1, 0, None)
    world.take([])
    assert world.states() == {"keep": "running", "new": "running"}
    assert world.order == ["+keep", "+old", "-old", "+new"]


def test_what_cannot_be_killed_is_not_waited_for_by_its_successor() -> None:
    world = World(spec("old"))
    world.start()
    world.obedient = False
    world.take(world.service_set.apply(replace(world.plan, services=(spec("new"),)), world.now)[1])
    world.post("old", ev.KillIncomplete(1, ("7 old (D)",)))
    assert world.states() == {"old": "stopping", "new": "running"}


def test_what_has_run_does_not_wait_for_what_is_removed() -> None:
    world = World(spec("web"), spec("old"))
    world.start()
    world.obedient = False
    world.take(world.service_set.apply(replace(world.plan, services=(spec("web"),)), world.now)[1])
    world.dies("web")
    world.advance(1)
    assert world.states() == {"web": "running", "old": "stopping"}


def test_what_is_removed_and_still_ends_is_stopped_once() -> None:
    world = World(spec("web"), spec("old"))
    world.start()
    world.obedient = False
    for web in (spec("web"), spec("web", nice=1)):
        world.take(world.service_set.apply(replace(world.plan, services=(web,)), world.now)[1])
    assert [r.cause for r in world.records if r.instance == "old" and r.after is State.STOPPING] == ["removed"]


def test_an_instance_keeps_its_name_and_its_process_when_others_come_and_go() -> None:
    world = World(spec("web"), spec("front", depends_on=["web"]))
    world.start()
    several = replace(world.plan, services=(spec("web", replicas=2), world.plan.services[1]))
    change, actions = world.service_set.apply(several, world.now)
    world.take(actions)
    assert not change.needs_restart("web")
    assert world.states() == {"web": "running", "web@2": "running", "front": "running"}
    assert [world.service_set.names(word) for word in ("web", "web@1", "web@2")] == [
        ["web", "web@2"], ["web"], ["web@2"]
    ]  # fmt: skip
    world.take(world.service_set.apply(world.plan, world.now)[1])
    assert world.states() == {"web": "running", "front": "running"}
    assert world["web"].incarnation == 1
    assert world.order == ["+web", "+front", "+web@2", "-web@2"]


def test_the_first_of_several_keeps_its_name_when_it_is_the_only_one() -> None:
    world = World(spec("web", replicas=3))
    world.start()
    alone = replace(world.plan, services=(spec("web"),))
    world.take(world.service_set.apply(alone, world.now)[1])
    assert (world.states(), world["web@1"].incarnation) == ({"web@1": "running"}, 1)
    assert world.service_set.names("web") == world.service_set.names("web@1") == ["web@1"]
    assert world.service_set.plan.services[0].instances == ("web@1",)
    world.take(world.service_set.apply(world.plan, world.now)[1])
    assert world.service_set.plan.services[0].first_name == ""
    assert list(world.states()) == ["web@1", "web@2", "web@3"]


def test_what_is_wanted_again_while_it_ends_is_started_again() -> None:
    world = World(spec("web", replicas=2))
    world.start()
    world.obedient = False
    world.take(world.service_set.apply(replace(world.plan, services=(spec("web"),)), world.now)[1])
    assert (world["web@2"].state, world["web@2"].goal) == (State.STOPPING, Goal.DOWN)
    world.take(world.service_set.apply(world.plan, world.now)[1])
    assert (world.service_set.removed, world["web@2"].goal) == (set(), Goal.UP)
    world.dies("web@2")
    assert (world["web@2"].state, world["web@2"].incarnation) == (State.RUNNING, 2)


def test_enough_replicas_must_be_ready() -> None:
    world = World(spec("db", replicas=3, min_ready=2, ready={"tcp": "x"}), spec("web", depends_on=["db"]))
    world.start()
    world.ready("db@1")
    assert world.states()["web"] == "starting"
    world.ready("db@3")
    assert world.states()["web"] == "running"


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        ("1:2:3", "1:2:4", {"inside": ("directory",), "below": ("directory",)}),
        ("1:2:3", "1:2:3", {}),
        ("", "1:2:3", {}),  # a plan of an earlier version
        ("1:2:3", "", {}),
    ],
)
def test_a_link_to_another_release_is_another_directory(
    before: str, after: str, changed: dict[str, tuple[str, ...]]
) -> None:
    services = (
        replace(spec("inside"), directory="/srv/current"),
        replace(spec("below"), directory="/srv/current/web"),
        replace(spec("beside"), directory="/srv/current-data"),
    )
    old = Plan(supervisor=SupervisorSpec(), services=services, path="/srv/current/services.toml", folder=before)
    found = difference(old, replace(old, folder=after))
    assert found.changed == changed
    assert found.restarted == frozenset(changed)
    edited = replace(old, folder=after, services=(replace(services[0], directory="/"), *services[1:]))
    assert difference(old, edited).changed["inside"] == ("directory",)
    assert difference(old, replace(old, path="/srv/moved/services.toml", folder=after)).changed == {}


def test_a_reload_starts_what_has_failed_and_is_corrected() -> None:
    """It says so beforehand, and what a person stopped stays stopped."""
    once = {"policy": "never", "jitter": 0.0}
    services = {
        "failed": spec("failed", restart={"max_restarts": 0, "jitter": 0.0}),
        "again": spec("again", restart={"initial": 60.0, "jitter": 0.0}),
        "ended": spec("ended", restart=once),
        "stopped": spec("stopped"),
        "alone": spec("alone", restart={"max_restarts": 0}),
        "job": spec("job", type="oneshot"),
        "up": spec("up"),
        "half": spec("half", replicas=2, restart={"max_restarts": 0}),
        "same": spec("same", restart={"max_restarts": 0}),
    }
    world = World(*services.values())
    world.start()
    for name, code in {"failed": 1, "again": 1, "ended": 1, "alone": 1, "job": 0, "half@1": 1, "same": 1}.items():
        world.dies(name, code)
    world.stop("stopped")
    world.take(world.service_set.begin_maintenance(["alone"], world.now, ev.BeginMaintenance(0.0)))
    changed = {name: replace(known, command=("y",)) for name, known in services.items()}
    changed["same"] = replace(services["same"], description="the same")
    plan = replace(world.plan, services=tuple(changed.values()))
    before = world.service_set.difference(plan)
    difference, actions = world.service_set.apply(plan, world.now)
    assert difference == before
    assert (sorted(before.started), sorted(before.resting)) == (
        ["again", "ended", "failed"],
        ["alone", "job", "stopped"],
    )
    assert before.restarted == changed.keys() - {"same"}
    world.take(actions)
    runs = {name for name, state in world.states().items() if state == "running"}
    assert runs == {"failed", "again", "ended", "up", "half@1", "half@2"}
    world.dies("failed")
    assert world["failed"].state is State.FAILED and world["failed"].tracker.cooldown == 60.0, "a fresh count"
    assert world["job"].ready_for_dependants, "a reload does not make it undone"


def test_a_dependant_that_was_stopped_stays_so_when_its_dependency_restarts() -> None:
    world = World(spec("db"), spec("web", depends_on=["db"], on_dependency_restart="restart"))
    world.start()
    world.stop("web")
    world.dies("db")
    world.advance(1)
    assert world.states() == {"db": "running", "web": "stopped"}


def test_a_longer_range_of_ports_restarts_nothing() -> None:
    plan = Plan(supervisor=SupervisorSpec(), services=(spec("web", replicas=2, ports=[80, 81]),))
    for ports, restarted in (([80, 90], False), ([81, 90], True), (None, True)):
        changed = replace(plan, services=(spec("web", replicas=2, ports=ports),))
        found = difference(plan, changed)
        assert (found.changed, found.needs_restart("web")) == ({"web": ("ports",)}, restarted)


def test_more_replicas() -> None:
    world = World(spec("web", replicas=2))
    world.start()
    difference, actions = world.service_set.apply(replace(world.plan, services=(spec("web", replicas=3),)), world.now)
    world.take(actions)
    assert world.states() == {"web@1": "running", "web@2": "running", "web@3": "running"}
    assert [i.incarnation for i in world.service_set.instances.values()] == [1, 1, 1]
    assert difference.changed == {"web": ("replicas",)}


def test_an_unknown_instance_is_nobody() -> None:
    assert World(spec("a")).service_set.step("b", ev.Start(), 1.0) == []


def test_heartbeats_cost_no_heap_entry() -> None:
    world = World(spec("web", heartbeat={"interval": 1.0}))
    world.start()
    for _ in range(1000):
        world.advance(1.0)
        world.post("web", ev.Heartbeat(1, world.now))
    assert len(world.service_set._deadlines._heap) <= 2
    assert world["web"].state is State.RUNNING
    world.advance(10)
    assert any(r.after is State.SUSPECT for r in world.records)


def test_a_stall_of_ours_is_nobodys_silence() -> None:
    world = World(spec("web", heartbeat={"interval": 1.0}), spec("deaf"))
    world.start()
    for _ in range(10):
        world.advance(1.0)
        world.post("web", ev.Heartbeat(1, world.now))
    world.post("web", ev.Heartbeat(7, world.now))  # of another incarnation
    world.post("deaf", ev.Heartbeat(1, world.now))  # its heartbeats are not observed
    world.take(world.service_set.stalled(30.0, world.now))
    world.advance(30.0)
    assert world.states() == {"web": "running", "deaf": "running"}
    world.advance(30.0)
    assert any(r.after is State.SUSPECT for r in world.records)


def test_a_stall_of_ours_is_a_step_only_for_what_is_observed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow host lets the daemon stall in each turn, so that steps of all would take as long as their square."""
    kept = [spec(f"plain{n}") for n in range(20)]
    world = World(spec("web", heartbeat={"interval": 1.0}), spec("slow", ready={"notify": True}), spec("broken"), *kept)
    world.start()
    world.obedient = False
    world.take(world.service_set.stop(["plain0"], world.now))
    world.post("broken", ev.Exited(1, 1, None, tree_empty=True))
    before = {name: world[name].until for name in world.states()}
    steps: list[str] = []
    step = service_set.step
    monkeypatch.setattr(
        service_set, "step", lambda instance, *rest: (steps.append(instance.name), step(instance, *rest))[1]
    )
    world.take(world.service_set.stalled(30.0, world.now))
    assert steps == ["web"]
    after = {name: world[name].until for name in world.states()}
    moved = {name for name, until in after.items() if until != before[name]}
    assert moved == {"slow", "plain0"}, "a start and a stop are given the time, the delay of a restart is not"
    assert all(after[name] == (before[name] or 0.0) + 30.0 for name in moved)
    assert world["broken"].state is State.BACKOFF


def test_after_a_stall_of_ours_everybody_is_given_more_time_within_the_cap() -> None:
    world = World(spec("a", heartbeat={"interval": 1.0, "min_timeout": 4.0, "max_timeout": 30.0}))
    world.start()
    for _ in range(5):
        world.advance(1.0)
        world.post("a", ev.Heartbeat(1, world.now))
    world.take(world.service_set.stalled(0.5, world.now))  # half as long again, at first
    world.advance(4.6)
    assert world.states() == {"a": "running"}
    world.advance(1.4)
    suspected = next(r for r in world.records if r.cause is Cause.SILENT)
    assert 1.0 < suspected.detail["patience"] <= 1.5


def test_what_waits_when_everything_ends_is_not_started_any_more() -> None:
    world = World(spec("db", ready={"tcp": "x"}), spec("web", depends_on=["db"]), spec("c", restart={"initial": 1.0}))
    world.start()
    world.dies("c")
    world.take(world.service_set.shutdown(world.now))
    world.advance(60)
    assert world.order.count("+web") == 0
    assert world.order.count("+c") == 1
    assert world.service_set.all_down


def test_looking_ahead_fires_nothing_early() -> None:
    world = World(spec("a"), spec("b"))
    world.start()
    world.dies("a")
    world.advance(0.03)
    world.dies("b")
    world.now += 0.97
    world.take(world.service_set.tick(world.now))
    assert world.states() == {"a": "running", "b": "backoff"}
    assert world.service_set.deadline == pytest.approx(world.now + 0.03)
    world.advance(0.04)
    assert world.states() == {"a": "running", "b": "running"}


def test_history_survives_a_supervisor() -> None:
    rule = {"max_restarts": 0, "cooldown": 5.0}
    first = World(spec("web", restart=rule, heartbeat={"interval": 1.0}), spec("b"))
    first.start()
    for _ in range(20):
        first.advance(1.0)
        first.post("web", ev.Heartbeat(1, first.now))
    first.dies("web")
    saved = first["web"].snapshot(first.now)
    second = World(*first.plan.services)
    second.now = first.now
    second.service_set.restore("web", saved, crashed=True)
    second.take(second.service_set.resume({}, second.now))
    assert second["web"].state is State.FAILED
    assert second["web"].detector is not None
    assert len(second["web"].detector.intervals()) == len(first["web"].detector.intervals())  # type: ignore[union-attr]
    second.advance(5)
    assert second["web"].state is State.RUNNING
    assert second["web"].incarnation == 2
    third = World(*first.plan.services)
    third.service_set.restore("web", saved, crashed=False)
    assert (third["web"].state, third["web"].incarnation) == (State.STOPPED, 1)
    third.service_set.restore("b", {"incarnation": "x", "rule": 3, "detector": []}, crashed=True)
    assert third["b"].incarnation == 0


SERVICES = (
    spec("db", ready={"tcp": "x"}, start_timeout=5.0, restart={"initial": 0.5, "max_restarts": 3, "window": 20.0}),
    spec(
        "web",
        depends_on=["db"],
        heartbeat={"interval": 1.0},
        restart={"initial": 0.0, "max_restarts": 2, "window": 30.0},
    ),
    spec("a", group_name="g", restart={"strategy": "one-for-all", "max_restarts": 2, "fallback": "page"}),
    spec("b", group_name="g", restart={"strategy": "rest-for-one", "policy": "always"}),
    spec("job", type="oneshot", restart={"max_restarts": 1, "cooldown": 3.0}),
    spec("page", autostart=False),
)
NAMES = st.sampled_from([s.name for s in SERVICES])
STEPS = st.one_of(
    st.tuples(st.just("start"), NAMES),
    st.tuples(st.just("stop"), NAMES),
    st.tuples(st.just("restart"), NAMES),
    st.tuples(st.just("reset"), NAMES),
    st.tuples(st.just("die"), NAMES, st.sampled_from([0, 1, -9])),
    st.tuples(st.just("ready"), NAMES),
    st.tuples(st.just("beat"), NAMES),
    st.tuples(st.just("limit"), NAMES),
    st.tuples(st.just("advance"), st.floats(0.0, 40.0)),
    st.tuples(st.just("stall"), st.floats(0.0, 40.0)),
    st.tuples(st.just("obedient"), st.booleans()),
    st.tuples(st.just("spawns"), st.booleans()),
)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.lists(STEPS, max_size=60))
def test_whatever_happens(steps: list[tuple[Any, ...]]) -> None:
    """World itself asserts: never two live incarnations, no spawn after a stop."""
    world = World(*SERVICES, slots=1)
    world.start("db", "web", "a", "b", "job")
    for what, *rest in steps:
        match what:
            case "start" | "stop":
                getattr(world, what)(*rest)
            case "restart" | "reset":
                world.take(getattr(world.service_set, what)(rest, world.now))
            case "die":
                name, code = rest
                if name in world.live:
                    world._end(name, world.live[name], code if code >= 0 else None, 9 if code < 0 else None)
                    world.take([])
            case "ready":
                world.ready(*rest)
            case "beat":
                world.post(rest[0], ev.Heartbeat(world[rest[0]].incarnation, world.now))
            case "limit":
                world.post(rest[0], ev.LimitExceeded(world[rest[0]].incarnation, "memory", 2, 1))
            case "advance":
                world.advance(*rest)
            case "stall":
                world.take(world.service_set.stalled(rest[0], world.now))
            case "obedient" | "spawns":
                setattr(world, what, rest[0])
        check(world)
    world.obedient = True
    world.take(world.service_set.shutdown(world.now))
    world.advance(3600)  # stalls that it was told of put deadlines off
    assert world.service_set.all_down
    assert not world.live


class Quiet(World):
    """Services that beat every second unless silenced; examinations find none stopped, and count the time."""

    def __init__(self, count: int, source: str = "notify") -> None:
        beat = {"source": source, "interval": 1.0, "min_timeout": 3.0, "max_timeout": 30.0, "http": "http://x"}
        super().__init__(*(spec(f"w{n}", heartbeat=beat) for n in range(count)))
        self.ran: dict[str, float] = {}
        self.start()
        self.beats(20)

    def beats(self, seconds: int, *names: str) -> None:
        for _ in range(seconds):
            self.advance(1.0)
            for name in names or list(self.live):
                if name in self.live:
                    self.post(name, ev.Heartbeat(self.live[name], self.now))

    def _carry_out(self, actions: list[act.Action]) -> None:
        super()._carry_out([a for a in actions if not isinstance(a, act.Examine)])
        for action in actions:
            if isinstance(action, act.Examine):
                began = self.service_set.instances[action.instance].silent_since or self.now
                self._todo.append(
                    (action.instance, ev.SuspectExamined(action.incarnation, False, None, {}, self.now - began))
                )

    @property
    def killed(self) -> set[str]:
        return {r.instance for r in self.records if r.after is State.STOPPING}

    @property
    def held(self) -> set[str]:
        return {r.instance for r in self.records if r.cause is Cause.HELD}


def test_many_who_fall_silent_at_once_get_as_long_again() -> None:
    world = Quiet(4)
    world.advance(3.5)
    assert world.held == {"w0", "w1", "w2", "w3"}
    assert {r.detail["held"] for r in world.records if r.cause is Cause.HELD} == {"many fell silent at once"}
    assert world.killed == set()
    world.beats(1)
    assert set(world.states().values()) == {"running"}
    assert world["w1"].false_suspicions == 1


def test_many_who_stay_silent_are_acted_on_in_the_end() -> None:
    world = Quiet(4)
    world.advance(9.0)
    assert world.killed == {"w0", "w1", "w2", "w3"}


def test_when_most_have_beaten_again_the_others_are_what_they_seem() -> None:
    world = Quiet(4)
    world.advance(3.5)
    for name in ("w0", "w1", "w2"):
        world.post(name, ev.Heartbeat(world.live[name], world.now))
    world.beats(2, "w0", "w1", "w2")
    assert world.killed == {"w3"}


def test_a_few_are_no_crowd() -> None:
    world = Quiet(6)
    world.beats(4, "w2", "w3", "w4", "w5")
    assert world.killed == {"w0", "w1"}
    pair = Quiet(2)
    pair.advance(3.5)
    assert pair.killed == {"w0", "w1"}


def test_who_has_missed_a_beat_counts_although_it_is_no_suspect_yet() -> None:
    world = Quiet(4)
    for name in ("w1", "w2", "w3"):  # a little later than w0
        world.now += 0.15
        world.post(name, ev.Heartbeat(world.live[name], world.now))
    world.advance(2.6)
    assert world.held == {"w0"}
    assert world.killed == set()


def test_who_has_not_beaten_yet_is_not_overdue() -> None:
    world = Quiet(3)
    world.start()
    world.take(world.service_set.restart(["w1", "w2"], world.now))
    world.advance(3.5)
    assert world.killed == {"w0", "w1", "w2"}
    assert world.held == set()


def test_one_who_was_asked_and_did_not_answer_confirms_all() -> None:
    world = Quiet(4, source="http")
    world.advance(4.5)
    assert world.killed == {"w0", "w1", "w2", "w3"}
    assert world.held == set()


def test_nobody_is_doubted_who_is_not_suspected_of_silence() -> None:
    world = Quiet(3)
    world.advance(2.9)
    for name in world.live:
        world.post(name, ev.SuspectExamined(1, False, None))
    for name in list(world.live):
        world.post(name, ev.Triggered(1))
    assert world.killed == {"w0", "w1", "w2"}


def successor(world: World) -> World:
    """A world whose service set restored what that of this world had saved when it was killed."""
    heir = World(*world.plan.services)
    heir.now, heir.live = world.now, world.live
    for name, instance in world.service_set.instances.items():
        heir.service_set.restore(name, instance.snapshot(world.now), crashed=True)
    return heir


def found(world: World) -> dict[str, ev.Adopted | ev.NotFoundOnAdoption]:
    """What recovery finds of those who were alive."""
    return {
        name: ev.Adopted(i.incarnation, 1000, 5.0) if name in world.live else ev.NotFoundOnAdoption(i.incarnation, True)
        for name, i in world.service_set.instances.items()
        if i.alive
    }


def test_a_successor_takes_everybody_up_and_restarts_only_who_vanished() -> None:
    world = World(spec("redis"), spec("web", depends_on=["redis"]), spec("idle", autostart=False))
    world.start("redis", "web")
    del world.live["web"]
    heir = successor(world)
    heir.take(heir.service_set.resume(found(heir), heir.now))
    assert heir.states() == {"redis": "running", "web": "backoff", "idle": "stopped"}
    heir.advance(1)
    assert heir.states() == {"redis": "running", "web": "running", "idle": "stopped"}
    assert heir.order == ["+web"]


def test_who_lives_without_a_record_is_presumed_and_taken_up() -> None:
    world = World(spec("redis"), spec("web", depends_on=["redis"]), spec("slow", ready={"tcp": "x"}))
    world.start()
    lost = World(*world.plan.services)
    lost.now, lost.live = world.now, world.live
    for name in world.live:
        lost.service_set.assume_spawning(name, 7)
    assert lost.service_set.instances["web"].snapshot(lost.now)["pid"] is None
    lost.take(lost.service_set.resume(found(lost), lost.now))
    assert lost.states() == {"redis": "running", "web": "running", "slow": "starting"}
    assert {i.incarnation for i in lost.service_set.instances.values()} == {7}
    lost.start()
    assert lost.order == []


def test_a_successor_goes_on_stopping_dependants_first() -> None:
    world = World(spec("redis"), spec("web", depends_on=["redis"]))
    world.start()
    world.obedient = False
    world.stop()
    heir = successor(world)
    heir.take(heir.service_set.resume(found(heir), heir.now))
    heir.advance(60)
    assert heir.order == ["-web", "-redis"]
    assert heir.service_set.all_down


def test_a_removed_service_stays_in_the_plan_until_nothing_of_it_runs() -> None:
    world = World(spec("old"), spec("web"))
    world.start()
    world.obedient = False
    assert world.service_set.plan_to_keep() is world.plan
    plan = replace(world.plan, services=(spec("web"),))
    _, actions = world.service_set.apply(plan, world.now)
    assert [s.name for s in world.service_set.plan_to_keep().services] == ["old", "web"]
    world.take(actions)
    world._end("old", 1, 0, None)
    world.take([])
    assert world.service_set.plan_to_keep() is world.service_set.plan


def check(world: World) -> None:
    """Every waiting state has a deadline or a named event, and the timer knows of it."""
    for i in world.service_set.instances.values():
        assert (i.name in world.live) == (i.pid is not None)
        if i.state in (State.BACKOFF, State.FAILED, State.SUSPECT) or i.state is State.STOPPING:
            assert i.deadline is not None
        elif i.state is State.STARTING and i.phase is Phase.WAITING:
            assert i.waiting_for
        elif i.state is State.STARTING:
            assert i.deadline is not None
        if i.state is State.RUNNING and i.detector is not None:
            assert i.deadline is not None
        if i.deadline is not None:
            assert world.service_set.deadline is not None
            assert world.service_set.deadline <= i.deadline
        assert i.tracker.restarts_in_window(world.now) <= i.spec.restart.max_restarts
        if i.goal is Goal.DOWN and i.state in (State.STARTING, State.BACKOFF, State.FAILED, State.EXITED):
            raise AssertionError(f"{i.name} is wanted down and {i.state.value}")


def test_starts_that_are_held_wait_until_they_may_go_on() -> None:
    world = World(spec("web"), spec("db"))
    world.service_set.starts_held = True
    world.start("web", "db")
    assert world.states() == {"web": "starting", "db": "starting"} and not world.live
    world.service_set.starts_held = False
    world.start()
    assert set(world.live) == {"web", "db"}
