"""What the host lacks stops no service that an edit does not touch, and one that is new or edited is refused."""

from __future__ import annotations

from dataclasses import replace

from supervisor.core.model.actions import Spawn
from supervisor.core.model.spec import Plan, ServiceSpec, SupervisorSpec, written_lines
from supervisor.core.services.plan_diff import difference
from supervisor.core.services.service_set import ServiceSet
from supervisor.core.services.unresolved import completed, review

WEB = ServiceSpec(name="web", command=("/bin/web",), directory="/srv")
LACKING = replace(WEB, unresolved=(("services.toml:2: services.web.command", "/bin/web is gone"),))
SAID = ["services.toml:2: services.web.command: /bin/web is gone"]


def plan(*services: ServiceSpec) -> Plan:
    return Plan(supervisor=SupervisorSpec(), services=services, path="services.toml")


def test_a_complete_plan_is_left_as_it_is() -> None:
    assert review(plan(), plan(WEB)) == (plan(WEB), [], [])


def test_what_runs_goes_on_although_its_program_is_gone() -> None:
    other = replace(WEB, name="other")
    assert review(plan(WEB), plan(LACKING, other)) == (plan(WEB, other), SAID, [])


def test_fingerprints_from_a_damaged_file_only_fit_nothing() -> None:
    """A service that they do not touch is still compared."""
    damaged = written_lines({"web": "o\n\nne", "db": "two"})
    before = replace(plan(ServiceSpec(name="web", command=("web",))), written=damaged)
    assert before.fingerprints["db"] == "two"
    assert review(before, before) == (before, [], [])


def test_a_user_or_an_environment_file_that_is_gone_leaves_a_service_as_it_was_written() -> None:
    runs = replace(WEB, user=7, group=8, extra_groups=(9,), environment=(("A", "b"),), unset_environment=("HOME",))
    lacking = replace(LACKING, user=2**32 - 2, group=2**32 - 2, extra_groups=())
    written, edited = written_lines({"web": "one"}), written_lines({"web": "two"})
    before = replace(plan(runs), written=written)
    assert review(before, replace(plan(lacking), written=written)) == (before, SAID, [])
    assert review(before, replace(plan(lacking), written=edited)).refused == SAID
    assert review(plan(runs), plan(lacking)).refused == SAID, "an earlier version did not tell how it was written"
    other = replace(lacking, depends_on=("new",))  # by the edit of a group
    assert review(before, replace(plan(other), written=written)).refused == SAID


def test_what_has_waited_for_its_program_waits_on() -> None:
    before = replace(LACKING, unresolved=(("services.toml:1: services.web.command", "it was gone then"),))
    assert review(plan(before), plan(LACKING)) == (plan(LACKING), SAID, [])


def test_what_is_new_or_edited_is_refused() -> None:
    assert review(plan(), plan(LACKING)).refused == SAID
    assert review(plan(replace(WEB, command=("/bin/old",))), plan(LACKING)) == (plan(LACKING), [], SAID)


def test_what_is_lacking_is_no_difference() -> None:
    assert difference(plan(WEB), plan(LACKING)).changed == {}


def test_a_service_is_completed_once_everything_is_there() -> None:
    waiting = replace(LACKING, user=2**32 - 2)
    found = replace(WEB, user=7, group=8, extra_groups=(9,), environment=(("A", "b"),))
    assert completed(waiting, plan(found)) == found


def test_it_is_said_why_a_service_is_not_completed() -> None:
    later = replace(LACKING, unresolved=(("services.toml:3: services.web.directory", "/srv is gone"),))
    assert completed(LACKING, plan(later)) == "/srv is gone"
    edited = "/bin/web is gone; the file was edited since, `supervisor reload` applies it"
    assert completed(LACKING, plan(replace(WEB, command=("/bin/new",)))) == edited
    assert completed(LACKING, plan()) == edited


def test_a_completed_service_takes_the_place_of_the_one_that_lacked_something() -> None:
    other = replace(WEB, name="other")
    service_set = ServiceSet(plan(LACKING, other), lambda: 0.5)
    assert Spawn("web", 1) in service_set.start(["web"], 0.0)
    service_set.complete(WEB)
    assert service_set.plan == plan(WEB, other)
    web = service_set.instances["web"]
    assert web.spec == web.running_spec == WEB
    assert service_set.instances["other"].spec == other


def test_why_it_cannot_be_started_names_the_key_of_another_command_than_its_own() -> None:
    lacking = (("services.toml:3: services.web.reload_check", 'the program "x" is not on the PATH'),)
    assert completed(LACKING, plan(LACKING)) == "/bin/web is gone"
    other = replace(WEB, unresolved=lacking)
    assert completed(other, plan(other)) == 'reload_check: the program "x" is not on the PATH'
