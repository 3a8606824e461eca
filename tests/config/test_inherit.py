# ruff: noqa: E501 - the messages as they are printed
"""Parents of services: which value wins, how a key is left out, and where an error of a value stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.config.load import load
from supervisor.core.model.spec import Policy
from tests.config.conftest import Complain, Load

FAMILY = """
[defaults]
environment = { D = "1", LEVEL = "debug" }
stop_timeout = "9s"
umask = "022"

[templates.base]
command = ["true", "base"]
directory = "."
environment = { A = "base", B = "base" }
restart = { policy = "always", max_restarts = 7 }
ready = { tcp = "127.0.0.1:1", interval = "9s" }
stop_timeout = "3s"

[templates.middle]
extends = "base"
environment = { B = "middle", LEVEL = "info" }
sockets = ["tcp://127.0.0.1:5", "tcp://127.0.0.1:6"]
"""


def test_the_nearest_wins_and_tables_are_merged_key_by_key(plan: Load) -> None:
    (web,) = plan(FAMILY + '[services.web]\nextends = "middle"\nenvironment.A = "web"\nreplicas = 1\n').services
    assert dict(web.environment) == {"A": "web", "B": "middle", "D": "1", "LEVEL": "info"}
    assert (web.command, web.stop_timeout, web.umask) == (("true", "base"), 3.0, 0o22)
    assert (web.restart.policy, web.restart.max_restarts) == (Policy.ALWAYS, 7)
    assert [socket.url for socket in web.sockets] == ["tcp://127.0.0.1:5", "tcp://127.0.0.1:6"]


def test_lists_and_the_kind_of_readiness_are_replaced(plan: Load) -> None:
    (web,) = plan(
        FAMILY
        + '[services.web]\nextends = "middle"\ncommand = ["true"]\nsockets = ["tcp://127.0.0.1:3"]\n'
        + 'ready = { http = "http://127.0.0.1/" }\n'
    ).services
    assert web.command == ("true",) and [socket.url for socket in web.sockets] == ["tcp://127.0.0.1:3"]
    assert web.ready is not None and (web.ready.tcp, web.ready.http, web.ready.interval) == (
        None,
        "http://127.0.0.1/",
        9.0,
    )


def test_a_service_is_a_parent_and_is_started_itself(plan: Load) -> None:
    found = plan('[services.b]\nextends = "a"\nenvironment.N = "2"\n[services.a]\ncommand = "true"\nnice = 3\n')
    assert [(spec.name, spec.nice, dict(spec.environment)) for spec in found.services] == [
        ("b", 3, {"N": "2"}), ("a", 3, {}),
    ]  # fmt: skip


def test_a_oneshot_takes_no_readiness_from_its_parent(plan: Load) -> None:
    (job,) = plan(FAMILY + '[services.job]\nextends = "base"\ntype = "oneshot"\n').services
    assert job.ready is None and job.command == ("true", "base")


def test_keys_that_are_unset_come_from_no_parent_and_no_defaults(plan: Load) -> None:
    text = FAMILY + (
        '[services.web]\nextends = "middle"\nunset = ["ready", "stop_timeout", "environment.A", "restart.policy", "umask", "sockets"]\n'
        '[services.more]\nextends = "web"\n[services.own]\nextends = "middle"\nunset = ["environment", "sockets"]\n'
        'environment.X = "1"\n'
    )
    found = {spec.name: spec for spec in plan(text).services}
    for name in ("web", "more"):
        spec = found[name]
        assert (spec.ready, spec.stop_timeout, spec.umask) == (None, 10.0, None)
        assert dict(spec.environment) == {"B": "middle", "D": "1", "LEVEL": "info"}
        assert (spec.restart.policy, spec.restart.max_restarts) == (Policy.ON_FAILURE, 7)
    assert dict(found["own"].environment) == {"X": "1"}


@pytest.mark.slow
def test_a_chain_of_many_parents(plan: Load) -> None:
    chain = "".join(f'[templates.t{n}]\nextends = "t{n + 1}"\nenvironment.V{n} = "1"\n' for n in range(2000))
    (web,) = plan(f'{chain}[templates.t2000]\ncommand = "true"\n[services.web]\nextends = "t0"\n').services
    assert len(web.environment) == 2000 and web.command == ("true",)


def test_parents_across_files(plan: Load, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('[templates.base]\ncommand = "true"\nnice = 4\n')
    (tmp_path / "b.toml").write_text('[services.b]\nextends = "base"\n')
    assert [spec.nice for spec in plan('include = ["b.toml", "a.toml"]').services] == [4]


def test_an_error_of_an_inherited_value_names_the_line_of_the_parent(complaints: Complain, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('[templates.base]\ncommand = "true"\n\ndirectory = "none"\n')
    assert complaints('include = ["a.toml"]\n[services.b]\nextends = "base"\n') == [
        "a.toml:4: services.b.directory: the directory none does not exist"
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '[services.a]\nextends = "bass"\n[templates.base]\ncommand = "true"\n',
            [
                "services.toml:1: services.a: no command; write for example command = [\"program\", \"argument\"]",
                'services.toml:2: services.a.extends: there is no service or template "bass"; did you mean "base"?',
            ],
        ),
        (
            '[templates.a]\nextends = "b"\n[templates.b]\nextends = "a"\n[services.c]\nextends = "b"\ncommand = "true"\n',
            ["services.toml:4: templates.b.extends: extends cycle: b → a → b"],
        ),
        (
            '[services.a]\nextends = "a"\ncommand = "true"\n',
            ["services.toml:2: services.a.extends: extends cycle: a → a"],
        ),
        (
            '[services.a]\ncommand = "true"\n[templates.a]\n',
            ['services.toml:3: templates.a: "a" is already the name of a service'],
        ),
        (
            '[services.a]\ncommand = "true"\nextends = "t"\nunset = ["enviroment", "environment.AA"]\n'
            '[templates.t]\nenvironment.A = "1"\n',
            [
                'services.toml:4: services.a.unset[0]: it does not inherit "enviroment"; did you mean "environment"?',
                'services.toml:4: services.a.unset[1]: it does not inherit "environment.AA"; did you mean "environment.A"?',
            ],
        ),
        (
            '[defaults]\nextends = "t"\nunset = ["a"]\n[services.a]\ncommand = "true"\n[templates.t]\n',
            [
                "services.toml:2: defaults.extends: stands in a service or a template, not in [defaults]",
                "services.toml:3: defaults.unset: stands in a service or a template, not in [defaults]",
            ],
        ),
        (
            '[services.a]\nextends = "t"\n[templates.t]\ncomand = "true"\nreplicas = "x"\n',
            [
                "services.toml:1: services.a: no command; write for example command = [\"program\", \"argument\"]",
                'services.toml:4: templates.t.comand: unknown key; did you mean "command"?',
                "services.toml:5: templates.t.replicas: expected a whole number from 1 to 10000, not \"x\"",
            ],
        ),
        (
            '[services.a]\nextends = "t"\n[templates.t]\ncommand = 3\n',
            ['services.toml:4: templates.t.command: expected a list of strings such as ["program", "argument"], or one string'],
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_family(complaints: Complain, text: str, expected: list[str]) -> None:
    assert complaints(text) == expected


def test_another_value_of_a_parent_is_another_fingerprint_of_its_children(plan: Load) -> None:
    text = '[services.a]\nextends = "t"\n[services.b]\ncommand = "true"\n[templates.t]\ncommand = "true"\n'
    before, after = plan(text).fingerprints, plan(text + "nice = 3\n").fingerprints
    assert before["a"] != after["a"] and before["b"] == after["b"]


def test_a_template_that_nothing_extends_is_told(tmp_path: Path, env: dict[str, str]) -> None:
    text = '[services.web]\ncommand = "true"\n[templates.a]\nextends = "b"\n[templates.b]\n'
    (tmp_path / "services.toml").write_text(text)
    notes: list[str] = []
    load(tmp_path / "services.toml", env, note=notes.append)
    assert notes == [f"{tmp_path}/services.toml:3: templates.a: nothing extends it"]
