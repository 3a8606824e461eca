"""The instances that a command, or the start of the daemon, acts on."""

from __future__ import annotations

from typing import Any

import pytest

from supervisor.core.model import events as ev
from supervisor.core.model.plain import from_plain
from supervisor.core.model.spec import Plan, ServiceSpec, SupervisorSpec
from supervisor.core.services.selection import (
    covers,
    recorded_names,
    resolve,
    resolve_one,
    resolve_service,
    selected,
    started_at_boot,
)
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
        (["all"], ALL),
        (["*"], ALL),
        (["w*", "*@1"], ["web@1", "web@2"]),
        (["?eb@2", "[js]*"], ["web@2", "job", "spare"]),
        (["ba*"], ["db", "job"]),
        (["web:*"], ["web@1", "web@2"]),
        (["back:*"], ["db", "job"]),
        (["back:j*", "*:db"], ["db", "job"]),
    ],
)
def test_names_are_resolved_in_start_order(service_set: ServiceSet, patterns: list[str], names: list[str]) -> None:
    assert resolve(service_set, patterns) == names


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("wev*", "Known: web"),
        ("wev", "Known: web"),
        ("back:web", "Known: web"),
        ("web@3", "Known: web@1, web@2"),
        ("zzz", "Known: db, web, job, spare, web@1 and 1 more"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(service_set: ServiceSet, name: str, hint: str) -> None:
    for ask in (lambda: resolve(service_set, ["db", name]), lambda: resolve_one(service_set, name)):
        with pytest.raises(NoSuchService) as error:
            ask()
        assert name in error.value.message and error.value.hint == hint


@pytest.mark.parametrize("name", ["debug", "debug@2"])
def test_a_service_whose_profiles_are_not_active_is_answered_with_what_adds_it(name: str) -> None:
    plan = Plan(
        supervisor=SupervisorSpec(),
        services=SERVICES,
        profiles=("dev",),
        inactive=(("other", ("x",)), ("debug", ("full", "all"))),
    )
    with pytest.raises(NoSuchService) as error:
        resolve(ServiceSet(plan, lambda: 0.5), [name])
    assert error.value.message == "debug is not there: none of its profiles is active (full, all)"
    assert error.value.hint.startswith("`supervisor reload --profile dev --profile full` adds it and the others of")


def test_what_is_removed_and_still_ends_is_meant_by_no_pattern(service_set: ServiceSet) -> None:
    service_set.apply(Plan(supervisor=SupervisorSpec(), services=SERVICES[1:]), NOW)
    assert "db" in service_set.instances
    assert resolve(service_set, ["all"]) == resolve(service_set, ["*"]) == ALL[1:]


def test_a_service_that_is_named_all_is_meant_by_this_word() -> None:
    service_set = ServiceSet(Plan(supervisor=SupervisorSpec(), services=(_spec("all"), _spec("web"))), lambda: 0.5)
    assert resolve(service_set, ["all"]) == ["all"]
    assert recorded_names(service_set, ["all"]) == ["all"]
    assert covers(service_set, ["all"], "all", "all") and not covers(service_set, ["all"], "web", "web")
    assert resolve(service_set, ["*"]) == ["all", "web"]


def test_the_plain_word_all_is_no_error_of_one_instance(service_set: ServiceSet) -> None:
    assert resolve_one(service_set, "j*") == "job"
    with pytest.raises(UsageError, match="all has 5 instances"):
        resolve_one(service_set, "all")


def test_one_service_is_one_service(service_set: ServiceSet) -> None:
    for name in ("web", "web@2", "w*"):
        assert resolve_service(service_set, name) == "web"
    with pytest.raises(UsageError, match="back has 2 services") as error:
        resolve_service(service_set, "back")
    assert error.value.hint == "Name one: db, job"


@pytest.mark.parametrize(
    ("patterns", "told"),
    [
        ([], ["db", "web@1", "web@2", "job", "gone", "(daemon)"]),
        (["gone", "db"], ["db", "gone"]),
        (["web@2"], ["web@2"]),
        (["web"], ["web@1", "web@2"]),
        (["back"], ["db", "job"]),
        (["*"], ["db", "web@1", "web@2", "job"]),
        (["all"], ["db", "web@1", "web@2", "job"]),
        (["back:*", "*@2"], ["db", "web@2", "job"]),
        (["none"], []),
    ],
)
def test_names_cover_what_is_told_of_groups_and_patterns_too(
    service_set: ServiceSet, patterns: list[str], told: list[str]
) -> None:
    events = [*ALL[:-1], "gone", "(daemon)"]
    assert [name for name in events if covers(service_set, patterns, name.partition("@")[0], name)] == told


def test_records_of_what_is_removed_are_found_by_its_name_alone(service_set: ServiceSet) -> None:
    service_set.apply(Plan(supervisor=SupervisorSpec(), services=SERVICES[1:]), NOW)
    assert recorded_names(service_set, ["back", "db"]) == ["job", "db"]


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
