"""The instances that a command, or the start of the daemon, is about."""

from __future__ import annotations

from typing import Any

import pytest

from supervisor.core.model import events as ev
from supervisor.core.model.plain import from_plain
from supervisor.core.model.spec import Plan, ServiceSpec, SupervisorSpec
from supervisor.core.services.selection import resolve, resolve_one, selected, started_at_boot
from supervisor.core.services.service_set import Fleet
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
def fleet() -> Fleet:
    """`db` runs, `web@1` is wanted up and waits for a slot of its own, `web@2`, `job` and `spare` are down."""
    fleet = Fleet(Plan(supervisor=SupervisorSpec(), services=SERVICES), lambda: 0.5)
    fleet.start(["db", "web@1"], NOW)
    fleet.step("db", ev.Spawned(1, 77), NOW)
    assert {n for n, i in fleet.instances.items() if i.satisfied} == {"db"}
    return fleet


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
def test_names_are_resolved_in_start_order(fleet: Fleet, patterns: list[str], names: list[str]) -> None:
    assert resolve(fleet, patterns) == names


@pytest.mark.parametrize(
    ("name", "hint"),
    [("wev", "Known: web"), ("web@3", "Known: web@2, web@1, web"), ("zzz", "Known: db, web, job, spare, web@1")],
)
def test_an_unknown_name_is_answered_with_the_nearest(fleet: Fleet, name: str, hint: str) -> None:
    for ask in (lambda: resolve(fleet, ["db", name]), lambda: resolve_one(fleet, name)):
        with pytest.raises(NoSuchService) as error:
            ask()
        assert name in error.value.message and error.value.hint == hint


def test_one_instance_is_one_instance(fleet: Fleet) -> None:
    assert resolve_one(fleet, "web@2") == "web@2"
    assert resolve_one(fleet, "spare") == "spare"
    with pytest.raises(UsageError, match="2 instances"):
        resolve_one(fleet, "web")


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
def test_each_verb_has_its_default(fleet: Fleet, verb: str, patterns: list[str], names: list[str]) -> None:
    assert selected(fleet, verb, patterns) == names


@pytest.mark.parametrize("verb", ["start", "stop", "restart", "reset", "signal", "sing"])
def test_nothing_is_started_while_the_daemon_shuts_down(fleet: Fleet, verb: str) -> None:
    fleet.shutdown(NOW)
    if verb in ("stop", "signal"):
        assert selected(fleet, verb, ["db"]) == ["db"]
    else:
        with pytest.raises(UsageError):
            selected(fleet, verb, ["db"])


@pytest.mark.parametrize(
    ("restored", "names"),
    [
        ((), ["db", "web@1", "web@2", "job"]),
        (("db", "job"), ["web@1", "web@2"]),
        (ALL, []),
    ],
)
def test_what_starts_by_itself_and_was_not_restored_starts_at_boot(
    fleet: Fleet, restored: tuple[str, ...], names: list[str]
) -> None:
    assert started_at_boot(fleet, restored) == names


def test_what_the_configuration_no_longer_has_does_not_start_at_boot(fleet: Fleet) -> None:
    fleet.apply(Plan(supervisor=SupervisorSpec(), services=SERVICES[1:2] + SERVICES[3:]), NOW)
    assert "db" in fleet.instances, "it still runs"
    assert started_at_boot(fleet, ()) == ["web@1", "web@2"]
