"""The instances that a command, or the start of the daemon, acts on."""

from __future__ import annotations

from typing import Any

import pytest

from supervisor.core.model import events as ev
from supervisor.core.model.plain import from_plain
from supervisor.core.model.spec import Plan, ServiceSpec, SupervisorSpec
from supervisor.core.services.selection import resolve, resolve_one, selected, started_at_boot
from supervisor.core.services.service_set import ServiceSet
from supervisor.errors import NoSuchService, UsageError

NOW = 100.0


def _spec(name: str, **keys: Any) -> ServiceSpec:
    return from_plain(ServiceSpec, {"name": name, "command": ["x"], **keys})


SERVICES = (
    _spec("db", group_name="back"),
    _spec("web", depends_on=["db"], replicas=2),
    _spec("job", type="oneshot", group_name="back"),
    _spec("spare", autostart=False),
)
ALL = ["db", "web@1", "web@2", "job", "spare"]


@pytest.fixture
def service_set() -> ServiceSet:
    """`db` runs, `web@1` is wanted up and waits for a slot of its own, `web@2`, `job` and `spare` are down."""
    service_set = ServiceSet(Plan(supervisor=SupervisorSpec(), services=SERVICES), lambda: 0.5)
    service_set.start(["db", "web@1"], NOW)
    service_set.step("db", ev.Spawned(1, 77), NOW)
    assert {n for n, i in service_set.instances.items() if i.ready_for_dependants} == {"db"}
    return service_set


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        ([], []),
        (["db"], ["db"]),
        (["web"], ["web@1", "web@2"]),
        (["web@2", "db"], ["db", "web@2"]),
        (["back"], ["db", "job"]),
        (["back", "db", "web@1"], ["db", "web@1", "job"]),
    ],
)
def test_names_are_resolved_in_start_order(service_set: ServiceSet, patterns: list[str], names: list[str]) -> None:
    assert resolve(service_set, patterns) == names


@pytest.mark.parametrize(
    ("name", "hint"),
    [("wev", "Known: web"), ("web@3", "Known: web@2, web@1, web"), ("zzz", "Known: db, web, job, spare, web@1")],
)
def test_an_unknown_name_is_answered_with_the_nearest(service_set: ServiceSet, name: str, hint: str) -> None:
    for ask in (lambda: resolve(service_set, ["db", name]), lambda: resolve_one(service_set, name)):
        with pytest.raises(NoSuchService) as error:
            ask()
        assert name in error.value.message and error.value.hint == hint


def test_one_instance_is_one_instance(service_set: ServiceSet) -> None:
    assert resolve_one(service_set, "web@2") == "web@2"
    assert resolve_one(service_set, "spare") == "spare"
    with pytest.raises(UsageError, match="2 instances"):
        resolve_one(service_set, "web")


@pytest.mark.parametrize(
    ("verb", "patterns", "names"),
    [
        ("start", [], ["web@1", "web@2", "job"]),
        ("start", ["db", "spare"], ["db", "spare"]),
        ("restart", [], ["db", "web@1"]),
        ("restart", ["spare"], ["spare"]),
        ("stop", [], ALL),
        ("stop", ["web"], ["web@1", "web@2"]),
        ("reset", [], ALL),
        ("signal", [], ["db"]),
        ("signal", ["web", "db"], ["db"]),
    ],
)
def test_each_verb_has_its_default(service_set: ServiceSet, verb: str, patterns: list[str], names: list[str]) -> None:
    assert selected(service_set, verb, patterns) == names


@pytest.mark.parametrize("verb", ["start", "stop", "restart", "reset", "signal", "sing"])
def test_nothing_is_started_while_the_daemon_shuts_down(service_set: ServiceSet, verb: str) -> None:
    service_set.shutdown(NOW)
    if verb in ("stop", "signal"):
        assert selected(service_set, verb, ["db"]) == ["db"]
    else:
        with pytest.raises(UsageError):
            selected(service_set, verb, ["db"])


@pytest.mark.parametrize(
    ("restored", "names"),
    [
        ((), ["db", "web@1", "web@2", "job"]),
        (("db", "job"), ["web@1", "web@2"]),
        (ALL, []),
    ],
)
def test_what_starts_by_itself_and_was_not_restored_starts_at_boot(
    service_set: ServiceSet, restored: tuple[str, ...], names: list[str]
) -> None:
    assert started_at_boot(service_set, restored) == names


def test_what_the_configuration_no_longer_has_does_not_start_at_boot(service_set: ServiceSet) -> None:
    service_set.apply(Plan(supervisor=SupervisorSpec(), services=SERVICES[1:2] + SERVICES[3:]), NOW)
    assert "db" in service_set.instances, "it still runs"
    assert started_at_boot(service_set, ()) == ["web@1", "web@2"]
