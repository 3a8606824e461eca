"""The balancer on a fake clock, with a model of HAProxy that answers its sockets: what serves goes on serving."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from supervisor.core.balancing.haproxy_config import mark
from supervisor.core.model import events as ev
from supervisor.core.model.spec import Plan, ServiceSpec
from supervisor.core.services.rollout import BACK, Order, Rollout, Stage
from supervisor.core.services.service_set import ServiceSet
from supervisor.daemon import balancing
from tests.core.services.test_service_set import World, spec

COLUMNS = "# pxname,svname,sid,status,addr,scur,qcur,used_conn_cur,weight,stot,rate,econ,eresp,"
FIRST = {"api": 18001, "web": 18101}


@dataclass
class Timer:
    when: float
    callback: Callable[[], None]
    live: bool = True

    def cancel(self) -> None:
        self.live = False


@dataclass
class Haproxy:
    """What a worker has loaded: by backend and slot, whether it takes requests, and its address."""

    slots: dict[str, dict[int, tuple[bool, str]]]
    mark: str = ""
    told: list[str] = field(default_factory=list)

    def answer(self, text: str) -> str:
        return "\n\n".join(self._one(command.split()) for command in text.split(";"))

    def _one(self, words: list[str]) -> str:
        if words[:2] == ["show", "info"]:
            return f"Pid: 7\nUptime_sec: 1\ndescription: phi-supervisor {self.mark} 127.0.0.1:8000"
        if words[:2] == ["show", "proc"]:
            return "1 master 1 [failed: 0] 0d00h00m01s\n# workers\n7 worker 0 0d00h00m01s\n# old workers\n"
        if words[:2] == ["show", "stat"]:
            return "\n".join([COLUMNS, *self._rows(words[2:])])
        self.told.append(" ".join(words))
        backend, _, slot = words[2].partition("/slot")
        there = self.slots[backend]
        ready, address = there[int(slot)]
        if words[3] == "addr":
            there[int(slot)] = ready, f"{words[4]}:{words[6]}"
        else:
            there[int(slot)] = words[4] == "ready", address
        return ""

    def _rows(self, words: list[str]) -> list[str]:
        return [
            f"{name},slot{number},{number},{'UP' if ready else 'MAINT'},{address},0,0,0,1,0,0,0,0,"
            for name, slots in self.slots.items()
            for number, (ready, address) in slots.items()
            if words[0] in ("-1", name) and words[2] in ("-1", str(number)) and (ready or "no-maint" not in words)
        ]


class Host:
    """The parts of a daemon that the balancer needs."""

    def __init__(self, world: World, haproxy: Haproxy, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = world.now
        self.world, self.haproxy = world, haproxy
        self.timers: list[Timer] = []
        monkeypatch.setattr(balancing, "Exchange", self._exchange)
        loop = SimpleNamespace(now=lambda: self.now, call_at=self._call_at, call_soon=self._call_soon)
        self.problems: list[str] = []
        parts: Any = SimpleNamespace(
            loop=loop,
            runtime_dir=str(place),
            service_set=world.service_set,
            engine=SimpleNamespace(post=lambda *_: None),
            problem=self.problems.append,
            problems=self.problems,
            cluster=None,
            say=lambda *_: None,
        )
        self.balancer = balancing.Balancer(parts)

    def _call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        self.timers.append(Timer(when, callback))
        return self.timers[-1]

    def _call_soon(self, callback: Callable[[], None]) -> None:
        self._call_at(self.now, callback)

    def _exchange(self, _: Any, _path: str, text: str, done: Callable[[str], None], *, timeout: float) -> None:
        assert timeout > 0
        answer = self.haproxy.answer(text)
        self._call_soon(lambda: done(answer))

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        self.balancer.turn()
        while True:
            self.timers = [timer for timer in self.timers if timer.live]
            timer = min(self.timers, key=lambda one: one.when, default=None)
            if timer is None or timer.when > end:
                break
            self.timers.remove(timer)
            self.now = max(self.now, timer.when)
            timer.callback()
            self.balancer.turn()
        self.now = end


def without_balance(plan: Plan) -> Plan:
    return replace(plan, services=tuple(replace(s, balance=None) if s.name == "web" else s for s in plan.services))


def balanced(name: str) -> ServiceSpec:
    balance = {"listen": ["127.0.0.1", FIRST[name] - 10_000]}
    return spec(name, replicas=2, ports=[FIRST[name], FIRST[name] + 7], ready={"tcp": "x"}, balance=balance)


def slots_of(name: str) -> dict[int, tuple[bool, str]]:
    used = {number: (True, f"127.0.0.1:{FIRST[name] + number - 1}") for number in (1, 2)}
    return used | dict.fromkeys(range(3, 9), (False, "127.0.0.1:1"))


PROXY = spec("haproxy", heartbeat={"source": "haproxy", "interval": 0.5})
Make = Callable[[World], Host]


def serving() -> World:
    """HAProxy, and four instances behind it."""
    world = World(PROXY, balanced("api"), balanced("web"))
    world.start()
    for name in ("api@1", "api@2", "web@1", "web@2"):
        world.ready(name)
    return world


def adopted(before: World, rollout: Rollout) -> World:
    """The next daemon after a crash, which goes on from what was saved of the instances and of a rollout."""
    world = World(*without_balance(before.plan).services)
    world.service_set = ServiceSet(world.plan, lambda: 0.5, [rollout])
    for name, instance in before.service_set.instances.items():
        world.service_set.restore(name, instance.snapshot(before.now), crashed=True)
    found = {name: ev.Adopted(one.incarnation, 1000, 1.0) for name, one in world.service_set.instances.items()}
    world.take(world.service_set.resume(found, world.now))
    return world


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """A daemon that begins with these instances, and HAProxy as the daemon before has left it."""

    def begin(world: World) -> Host:
        found = Host(world, Haproxy({"api": slots_of("api"), "web": slots_of("web")}), tmp_path, monkeypatch)
        found.balancer.turn()
        found.haproxy.mark = mark(found.balancer._place, found.balancer._backends())
        return found

    return begin


def test_what_serves_when_a_daemon_begins_goes_on_serving(make: Make) -> None:
    host = make(serving())
    host.run(5.0)
    assert host.haproxy.told == [] and host.problems == []
    assert {slot["instance"] for one in host.balancer.view() for slot in one["slots"]} >= {"web@1", "web@2", "api@1"}


@pytest.mark.parametrize("stage", [Stage.ROLLED_BACK, Stage.ROLLING_BACK])
def test_what_a_rollback_has_kept_goes_on_serving_under_the_next_daemon(make: Make, stage: Stage) -> None:
    """The plan that was saved has no `balance`, and one of the two instances was replaced and put back."""
    before, web = serving(), balanced("web")
    before["web@1"].revision = "r" + BACK
    bare = replace(web, balance=None)
    rollout = Rollout(
        id="r", service="web", order=Order.RELOAD, wanted=bare, previous=web, filed=bare, stage=stage, reason="it ended"
    )
    host = make(adopted(before, rollout))
    host.run(5.0)
    assert host.haproxy.told == [] and host.haproxy.slots["web"] == slots_of("web")


def test_a_service_whose_balance_comes_back_before_a_reload_goes_on_serving(make: Make) -> None:
    host = make(serving())
    host.run(1.0)
    world, plan = host.world, host.world.service_set.plan
    for one in (without_balance(plan), plan):
        world.take(world.service_set.apply(one, world.now)[1])
        host.balancer.turn()
    host.run(5.0)
    assert host.haproxy.told == [], "no slot of an instance that serves is drained"
    assert host.haproxy.slots["web"] == slots_of("web")
