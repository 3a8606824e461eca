"""Small plans that together use everything that the rules know."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from supervisor.core.model.plain import from_plain
from supervisor.core.model.spec import GroupSpec, Plan, ServiceSpec, SupervisorSpec

BEATS = {"interval": 60.0, "min_timeout": 300.0, "max_timeout": 600.0}
"""Healthy beats are at most half of `min_timeout` apart, so that an instance that is killed for silence was silent."""
QUICK = {"initial": 0.5, "maximum": 20.0, "max_restarts": 4, "window": 120.0, "cooldown": 60.0, "reset_after": 90.0}


def service(name: str, **keys: Any) -> ServiceSpec:
    restart = QUICK | keys.pop("restart", {})
    return from_plain(ServiceSpec, {"name": name, "command": ["x"], "restart": restart, "start_timeout": 40.0, **keys})


def _shop() -> list[ServiceSpec]:
    return [
        service("migrate", type="oneshot"),
        service(
            "redis",
            ready={"tcp": "x"},
            heartbeat=BEATS | {"source": "tcp", "tcp": "x"},
            restart={"max_restarts": 1},
            breaker={"on_open": "stop"},
        ),
        service("web", depends_on=["redis", "migrate"], ready={"notify": True}, heartbeat=BEATS, replicas=2),
        service("cron", restart={"policy": "never"}),
        service("kept", detach=True, ready={"notify": True}, heartbeat=BEATS),
        service("spare", autostart=False),
    ]


def _group() -> list[ServiceSpec]:
    group = {"group_name": "g"}
    return [
        service("a", **group, restart={"strategy": "one-for-all", "max_restarts": 1}, breaker={"on_open": "stop"}),
        service("b", **group, depends_on=["a"], restart={"strategy": "rest-for-one"}, stop_timeout=3.0),
        service("c", **group, depends_on=["b"], ready={"log": "x"}, on_dependency_restart="restart"),
        service("loner", restart={"policy": "always", "backoff": "decorrelated-jitter"}),
    ]


def _fallback() -> list[ServiceSpec]:
    return [
        service("page", autostart=False),
        service("main", restart={"fallback": "page", "max_restarts": 1}, ready={"delay": 2.0}, heartbeat=BEATS),
        service("after", depends_on=["main"], restart={"max_restarts": 0, "cooldown": 5.0}),
        service("job", type="oneshot", depends_on=["main"], restart={"backoff": "linear"}),
    ]


def _site() -> list[ServiceSpec]:
    return [
        service("db", ready={"tcp": "x"}),
        service("web", replicas=4, depends_on=["db"], ready={"tcp": "x"}, heartbeat=BEATS, rollout={"settle": 20.0}),
        service(
            "api", replicas=3, group_name="back", ready={"tcp": "x"}, rollout={"max_surge": "50%", "on_failure": "halt"}
        ),
        service("one", rollout={"settle": 5.0, "max_unavailable": 0, "max_surge": 1}),
    ]


def _lazy() -> list[ServiceSpec]:
    """Services that start on demand, and one that needs one of them."""
    return [
        service("cache", sockets=[_on_demand("cache", 60.0)], ready={"notify": True}, heartbeat=BEATS),
        service("tool", sockets=[_on_demand("tool", 20.0)], restart={"policy": "always"}),
        service("front", depends_on=["cache"]),
        service("later", sockets=[_on_demand("later", None)], depends_on=["tool"], restart={"max_restarts": 1}),
    ]


def _on_demand(name: str, idle: float | None) -> dict[str, Any]:
    return {"url": f"unix:/{name}", "on_demand": True, "idle": idle}


FLEETS = (_shop, _group, _fallback, _site, _lazy)
BAD = ("BAD", "1")
"""The variable of a definition whose processes never become ready; they end where readiness is not observed."""


def plan(dice: random.Random, slots: int = 2) -> Plan:
    """One of the plans."""
    services = tuple(dice.choice(FLEETS)())
    names = dict.fromkeys(s.group_name for s in services if s.group_name is not None)
    groups = tuple(GroupSpec(name=name, max_concurrent_restarts=1) for name in names)
    return Plan(supervisor=SupervisorSpec(max_concurrent_restarts=slots), services=services, groups=groups)


def edited(old: Plan, dice: random.Random) -> Plan:
    """The plan with a service changed, added or taken out; an order of dependencies stays one."""
    services = list(old.services)
    victim = dice.randrange(len(services))
    name = services[victim].name
    needed = any(name in s.depends_on or name == s.restart.fallback for s in services)
    kind = dice.random()
    if kind < 0.25 and not needed and len(services) > 2:
        del services[victim]
    elif kind < 0.5:
        names = {s.name for s in services}
        new = next(n for n in ("extra-1", "extra-2", "extra-3", "extra-4") if n not in names or n == "extra-4")
        if new not in names:
            services.append(service(new))
    else:
        changed = _plain(services[victim])
        if kind < 0.8:
            changed["environment"] = [["N", str(dice.randrange(1000))]]
            if services[victim].rollout is not None and dice.random() < 0.5:
                changed["environment"].append(list(BAD))
        else:
            changed["description"] = str(dice.randrange(1000))
        services[victim] = from_plain(ServiceSpec, changed)
    return replace(old, services=tuple(services))


def _plain(spec: ServiceSpec) -> dict[str, Any]:
    from supervisor.core.model.plain import to_plain

    found: dict[str, Any] = to_plain(spec)
    return found
