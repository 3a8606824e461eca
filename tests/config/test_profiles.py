# ruff: noqa: E501 - the messages as they are printed
"""Profiles: which services are there, what is told of those that are not, and what is remembered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from supervisor.config.load import load
from supervisor.config.profiles import VARIABLE, Wanted, remembered
from supervisor.core.model.spec import Plan
from supervisor.errors import ConfigError
from tests.config.conftest import Complain, Load

TEXT = """
[services.web]
command = "true"

[services.dev]
command = "true"
profiles = ["dev", "full"]

[services.ops]
command = "true"
profiles = ["full"]
"""


def names(plan: Plan) -> list[str]:
    return [spec.name for spec in plan.services]


@pytest.mark.parametrize(
    ("given", "services", "active"),
    [
        ("", ["web"], ()),
        ("dev", ["web", "dev"], ("dev",)),
        ("full", ["web", "dev", "ops"], ("full",)),
        (" full, dev ,dev", ["web", "dev", "ops"], ("dev", "full")),
        ("*", ["web", "dev", "ops"], ("*",)),
    ],
)
def test_what_is_there(
    tmp_path: Path, env: dict[str, str], given: str, services: list[str], active: tuple[str]
) -> None:
    (tmp_path / "services.toml").write_text(TEXT)
    found = load(tmp_path / "services.toml", env | {VARIABLE: given})
    assert (names(found), found.profiles) == (services, active)
    assert {name for name, _ in found.inactive} == {"dev", "ops"} - set(services)


def test_an_option_counts_more_than_the_environment(tmp_path: Path, env: dict[str, str]) -> None:
    (tmp_path / "services.toml").write_text(TEXT)
    found = load(tmp_path / "services.toml", env | {VARIABLE: "full"}, profiles=Wanted(("dev",), "--profile"))
    assert found.profiles == ("dev",) and found.inactive == (("ops", ("full",)),)


def test_a_name_that_no_service_has(tmp_path: Path, env: dict[str, str]) -> None:
    (tmp_path / "services.toml").write_text(TEXT)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "services.toml", env | {VARIABLE: "dev,ful"})
    told = f'SUPERVISOR_PROFILES: no service of {tmp_path}/services.toml has the profile "ful"; did you mean "full"?'
    assert str(caught.value) == f"{told}\n  Known: dev, full"
    assert load(tmp_path / "services.toml", env, profiles=Wanted(("dev", "ful"))).profiles == ("dev",)  # remembered
    (tmp_path / "services.toml").write_text('[services.web]\ncommand = "true"\n')
    assert names(load(tmp_path / "services.toml", env | {VARIABLE: "dev"})) == ["web"]  # for another project
    with pytest.raises(ConfigError, match="Known: none"):
        load(tmp_path / "services.toml", env, profiles=Wanted(("dev",), "--profile"))


def test_services_of_two_profiles_may_have_one_port_and_one_log(plan: Load) -> None:
    table = 'command = "true"\nsockets = ["tcp://127.0.0.1:81"]\nlog.path = "x.log"\nlog.mode = "{mode}"\n'
    text = f'{TEXT}[services.a]\nprofiles = ["a"]\n{table}[services.b]\nprofiles = ["b"]\n{table}'
    assert names(plan(text.replace("{mode}", "0600", 1).replace("{mode}", "0640"))) == ["web"]


def test_what_is_not_there_may_lack_its_program_and_its_keys_are_validated(plan: Load, complaints: Complain) -> None:
    text = TEXT.replace('command = "true"\nprofiles = ["dev"', 'command = "gone"\ndirectory = "no"\nprofiles = ["dev"')
    assert names(plan(text)) == ["web"]
    assert complaints(text.replace('"no"', "3")) == [
        "services.toml:7: services.dev.directory: expected a string, not 3"
    ]


def test_profiles_are_inherited(plan: Load) -> None:
    found = plan(TEXT + '[services.more]\nextends = "dev"\n[services.always]\nextends = "dev"\nunset = ["profiles"]\n')
    assert names(found) == ["web", "always"]


def test_a_service_that_needs_what_is_not_there(plan: Load, complaints: Complain) -> None:
    text = TEXT + '[services.a]\ncommand = "true"\ndepends_on = ["web", "dev"]\nrestart.fallback = "ops"\n'
    assert complaints(text) == [
        'services.toml:14: services.a.depends_on[1]: "dev" is only there with one of the profiles "dev", "full": start with '
        '--profile dev, or give a profiles = ["dev", "full"], or { service = "dev", required = false }',
        'services.toml:15: services.a.restart.fallback: "ops" is only there with one of the profiles "full": start with '
        '--profile full, or give a profiles = ["full"]',
    ]
    soft = '[services.a]\ncommand = "true"\ndepends_on = ["web", { service = "dev", required = false }]\n'
    assert [spec.depends_on for spec in plan(TEXT + soft).services] == [(), ("web",)]
    assert names(plan(TEXT + text[len(TEXT) :] + 'profiles = ["dev"]\n')) == ["web"]  # neither is there


def test_a_group_is_those_of_its_members_that_are_there(plan: Load, complaints: Complain) -> None:
    text = TEXT.replace("profiles = [", 'group_name = "jobs"\nprofiles = [') + "[groups.jobs]\n"
    needs = '[services.a]\ncommand = "true"\ndepends_on = ["jobs"]\n'
    (line,) = complaints(text + needs)
    assert 'the group "jobs" is only there with one of the profiles' in line
    more = '[services.job]\ncommand = "true"\ngroup_name = "jobs"\n'
    assert {spec.name: spec.depends_on for spec in plan(text + more + needs).services}["a"] == ("job",)


def test_names_are_checked_in_what_is_not_there_too(complaints: Complain) -> None:
    assert complaints(TEXT + 'depends_on = ["wep"]\n') == [
        'services.toml:12: services.ops.depends_on[0]: there is no service or group "wep"; did you mean "web"?'
    ]


def test_what_a_daemon_had_is_remembered(tmp_path: Path) -> None:
    assert remembered({}, str(tmp_path)) == Wanted(())
    (tmp_path / "plan.json").write_text(json.dumps({"services": [], "profiles": ["dev"]}))
    assert remembered({}, str(tmp_path)) == Wanted(())  # it ended in order
    (tmp_path / "running").touch()
    assert remembered({}, str(tmp_path)) == Wanted(("dev",))
    assert remembered({VARIABLE: "full"}, str(tmp_path)) == Wanted(("full",), VARIABLE)
    (tmp_path / "plan.json").write_text("[")
    assert remembered({}, str(tmp_path)) == Wanted(())


def test_a_file_of_which_nothing_is_there(complaints: Complain) -> None:
    assert complaints('[defaults]\nprofiles = ["b", "a"]\n[services.web]\ncommand = "true"\n') == [
        "services.toml:3: services: none is active: each has profiles, and no profile is active (a, b)"
    ]
