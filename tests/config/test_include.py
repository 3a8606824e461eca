# ruff: noqa: E501 - the messages as they are printed
"""Included files: what is read, in which order, where paths begin, and which file and line an error names."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from supervisor.config import include
from supervisor.config.include import DEEPEST
from supervisor.config.load import load
from supervisor.core.model.spec import Plan
from supervisor.errors import ConfigError
from tests.config.conftest import Complain, Load

SERVICE = '[services.{}]\ncommand = ["true"]\n'
STRING = '  A string needs straight quotes: "…".  true and false are written in small letters.'
Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write files: `write(**{"conf.d/a.toml": "…"})`."""

    def run(**files: str) -> None:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return run


def names(plan: Plan) -> list[str]:
    return [spec.name for spec in plan.services]


def test_patterns_in_their_order_and_files_by_name(plan: Load, write: Write) -> None:
    write(**{
        "conf.d/b.toml": SERVICE.format("b"), "conf.d/a.toml": SERVICE.format("a"), "conf.d/.hidden.toml": "wrong",
        "conf.d/a.toml~": "wrong", "z.toml": SERVICE.format("z"),
    })  # fmt: skip
    found = plan('include = ["z.toml", "conf.d/*.toml", "none/*.toml", "conf.d/[ab].toml"]\n' + SERVICE.format("main"))
    assert names(found) == ["main", "z", "a", "b"]


def test_the_variables_of_the_environment_are_expanded(plan: Load, write: Write) -> None:
    write(**{"8000.toml": SERVICE.format("a")})
    assert names(plan('include = ["${PORT}.toml"]')) == ["a"]


def test_the_files_that_are_read_are_told(tmp_path: Path, env: dict[str, str], write: Write) -> None:
    write(**{
        "services.toml": 'include = ["conf.d/*.toml"]\n', "conf.d/a.toml": 'include = ["more/*.toml"]\n',
        "conf.d/more/b.toml": SERVICE.format("b"),
    })  # fmt: skip
    told: list[str] = []
    load(tmp_path / "services.toml", env, on_file=told.append)
    assert told == [f"{tmp_path}/conf.d/a.toml", f"{tmp_path}/conf.d/more/b.toml"]


def test_a_file_is_read_once_and_a_wildcard_does_not_find_the_file_that_has_it(plan: Load, write: Write) -> None:
    write(**{"a.toml": 'include = ["*.toml"]\n' + SERVICE.format("a"), "b.toml": SERVICE.format("b")})
    with pytest.raises(ConfigError, match="include cycle: services.toml → a.toml → services.toml".replace(" ", ".*")):
        plan('include = ["*.toml"]')
    write(**{"a.toml": 'include = ["[!s]*.toml"]\n' + SERVICE.format("a")})
    assert names(plan('include = ["*.toml", "a.toml", "./b.toml"]')) == ["a", "b"]


def test_relative_paths_begin_in_the_folder_of_the_first_file(plan: Load, write: Write, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("#!/bin/sh\n")
    (tmp_path / "run").chmod(0o755)
    (tmp_path / "app").mkdir()
    write(**{
        "env": "A=main\n",
        "conf.d/env": "A=included\n",
        "conf.d/a.toml": '[services.a]\ncommand = ["./run"]\nenvironment_file = "env"\n'
        '[services.b]\ncommand = ["../run"]\ndirectory = "app"\nlog.path = "b.log"\n',
    })  # fmt: skip
    a, b = plan('include = ["conf.d/*.toml"]').services
    assert (a.directory, dict(a.environment)) == (str(tmp_path), {"A": "main"})
    assert (b.directory, b.log.path) == (str(tmp_path / "app"), str(tmp_path / "b.log"))


def test_a_relative_path_that_is_only_beside_the_included_file_is_explained(complaints: Complain, write: Write) -> None:
    write(**{"conf.d/.env": "A=1\n", "conf.d/a.toml": SERVICE.format("a") + 'environment_file = ".env"\n'})
    assert complaints('include = ["conf.d/*.toml"]') == [
        "conf.d/a.toml:3: services.a.environment_file: .env does not exist; relative paths begin in the folder of "
        "services.toml: conf.d/.env is there"
    ]


def test_the_groups_and_defaults_of_the_first_file_hold_for_all(plan: Load, write: Write) -> None:
    write(**{
        "a.toml": SERVICE.format("a") + 'group_name = "jobs"\n[groups.jobs]\nmax_concurrent_restarts = 2\n',
    })  # fmt: skip
    found = plan('include = ["a.toml"]\n[defaults]\nstop_timeout = "3s"\n')
    assert found.services[0].stop_timeout == 3.0
    assert [(group.name, group.max_concurrent_restarts) for group in found.groups] == [("jobs", 2)]


@pytest.mark.parametrize(
    ("given", "files", "expected"),
    [
        ('"a.toml"', {}, ['services.toml:1: include: expected a list of patterns, for example ["conf.d/*.toml"], not "a.toml"']),
        ('["a.toml", 3]', {"a.toml": ""}, ["services.toml:1: include[1]: expected a path or a pattern, not 3"]),
        ('["a.toml"]', {}, ["services.toml:1: include[0]: a.toml does not exist"]),
        ('["conf.d"]', {"conf.d/a.toml": ""}, ["services.toml:1: include[0]: conf.d is a directory; write conf.d/*.toml"]),
        ('["**/a.toml"]', {}, ['services.toml:1: include[0]: "**/a.toml": ** is not understood; write a pattern for each folder']),
        ('["${NO}"]', {}, ["services.toml:1: include[0]: the variable NO is not set; set it, or write ${NO:-default}"]),
        ('["a\\u0000"]', {}, ["services.toml:1: include[0]: holds a NUL character"]),
        ('["a.toml"]', {"a.toml": "x = \n"}, ["a.toml:1: not valid TOML: Invalid value", STRING]),
        ('["a.toml"]', {"a.toml": "services = 3\n"}, ["a.toml:1: services: expected a table, not 3"]),
        ('["a.toml"]', {"a.toml": '\ninclude = ["b.toml"]'}, ["a.toml:2: include[0]: b.toml does not exist"]),
        ('["a.toml"]', {"a.toml": "\ninclude = 3"}, ["a.toml:2: include: expected a list of patterns, for example [\"conf.d/*.toml\"], not 3"]),
        (
            '["d/a.toml"]',
            {"d/a.toml": '[supervisor]\nname = "x"\n[defaults]\n[cluster]\n[service]\n'},
            [
                "d/a.toml:1: supervisor: stands in services.toml alone, not in a file that it includes",
                "d/a.toml:3: defaults: stands in services.toml alone; what services of this file share: [templates.NAME], and "
                'extends = "NAME"',
                "d/a.toml:4: cluster: stands in services.toml alone, not in a file that it includes",
                'd/a.toml:5: service: unknown table; did you mean "services"?',
            ],
        ),
        (
            '["a.toml", "b.toml"]',
            {"a.toml": SERVICE.format("web"), "b.toml": SERVICE.format("more") + "\n" + SERVICE.format("web")},
            ["b.toml:4: services.web: is defined in a.toml:1, too"],
        ),
        (
            '["a.toml"]',
            {"a.toml": SERVICE.format("main")},
            ["a.toml:1: services.main: is defined in services.toml:2, too"],
        ),
        (
            '["a.toml"]',
            {"a.toml": 'include = ["b.toml"]', "b.toml": 'include = ["a.toml"]'},
            ["b.toml:1: include[0]: include cycle: a.toml → b.toml → a.toml"],
        ),
        ('["services.toml"]', {}, ["services.toml:1: include[0]: include cycle: services.toml → services.toml"]),
        (
            '["a.toml"]',
            {"a.toml": "\n[services.a]\ncommand = 3\nreplica = 2\n"},
            [
                "a.toml:3: services.a.command: expected a list of strings such as [\"program\", \"argument\"], or one string",
                'a.toml:4: services.a.replica: unknown key; did you mean "replicas"?',
            ],
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_and_where(
    complaints: Complain, write: Write, given: str, files: dict[str, str], expected: list[str]
) -> None:
    write(**files)
    assert complaints(f"include = {given}\n" + SERVICE.format("main")) == expected


def test_a_link_to_a_file_that_was_read_is_the_same_file(plan: Load, write: Write, tmp_path: Path) -> None:
    write(**{"a.toml": SERVICE.format("a")})
    (tmp_path / "b.toml").symlink_to("a.toml")
    assert names(plan('include = ["a.toml", "b.toml"]')) == ["a"]


def test_files_that_include_each_other_without_end(complaints: Complain, write: Write) -> None:
    write(**{f"{n}.toml": f'include = ["{n + 1}.toml"]' for n in range(DEEPEST + 2)})
    (line,) = complaints('include = ["0.toml"]\n' + SERVICE.format("main"))
    assert line.startswith(f"{DEEPEST - 1}.toml:1: include[0]: {DEEPEST}.toml is included more than {DEEPEST} deep: ")


def test_neither_a_fifo_nor_a_device_is_opened(complaints: Complain, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.toml")
    (tmp_path / "b.toml").symlink_to("/dev/zero")
    assert complaints('include = ["*.toml"]\n' + SERVICE.format("main")) == [
        "services.toml:1: include[0]: a.toml is not a regular file",
        "services.toml:1: include[0]: b.toml is not a regular file",
    ]
    assert complaints('include = ["b.toml"]\n' + SERVICE.format("main")) == [
        "services.toml:1: include[0]: b.toml is not a regular file"
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything")
@pytest.mark.parametrize("pattern", ["conf.d/*.toml", "conf.d/a.toml", "*/a.toml", "conf.d/[a]/b.toml"])
def test_what_cannot_be_read_is_named(complaints: Complain, write: Write, tmp_path: Path, pattern: str) -> None:
    write(**{"conf.d/a.toml": SERVICE.format("a")})
    (tmp_path / "conf.d").chmod(0)
    try:
        (line,) = complaints(f'include = ["{pattern}"]\n' + SERVICE.format("main"))
    finally:
        (tmp_path / "conf.d").chmod(0o755)
    named = "conf.d/a.toml" if pattern.endswith("a.toml") else "conf.d/"
    assert line == f"services.toml:1: include[0]: {named} cannot be read: Permission denied"


def test_an_error_of_the_file_system_is_told_with_the_path(
    complaints: Complain, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(**{"conf.d/a.toml": SERVICE.format("a")})

    def refused(path: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(include.os, "scandir", refused)  # type: ignore[attr-defined]
    assert complaints('include = ["conf.d/*.toml"]\n' + SERVICE.format("main")) == [
        "services.toml:1: include[0]: conf.d/ cannot be read: Input/output error"
    ]


def test_wildcards_in_folders_and_links_to_nowhere(
    plan: Load, complaints: Complain, write: Write, tmp_path: Path
) -> None:
    write(**{"b/x/s.toml": SERVICE.format("b"), "a/x/s.toml": SERVICE.format("a"), "c/y.toml": "", ".h/x/s.toml": "x"})
    (tmp_path / "file").touch()
    assert names(plan('include = ["*/[x]/s.toml", "*/x/none*"]')) == ["a", "b"]
    assert names(plan(f'include = ["{tmp_path}/?/x/*.toml"]')) == ["a", "b"]
    (tmp_path / "c/z.toml").symlink_to("nowhere")
    assert complaints('include = ["c/*.toml"]\n' + SERVICE.format("main")) == [
        "services.toml:1: include[0]: c/z.toml does not exist"
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is refused")
def test_root_is_refused_a_file_that_another_user_could_change(
    complaints: Complain, write: Write, tmp_path: Path
) -> None:
    write(**{"conf.d/a.toml": SERVICE.format("a")})
    path = tmp_path / "conf.d/a.toml"
    path.chmod(path.stat().st_mode | stat.S_IWOTH)
    (line,) = complaints('include = ["conf.d/*.toml"]')
    assert line.startswith("services.toml:1: include[0]: refused as root: conf.d/a.toml is writable by everyone")


def test_a_file_that_installs_itself_on_other_hosts_includes_none(complaints: Complain, write: Write) -> None:
    write(**{"a.toml": SERVICE.format("a")})
    assert complaints('include = ["a.toml"]\n[fleet]\nhosts = [{ name = "a" }]\n') == [
        "services.toml:1: include: one file is installed on the hosts of [fleet]; put all services into it"
    ]


@pytest.mark.parametrize(
    ("limit", "most", "said"),
    [("MOST", 2, "more than 2 files"), ("LARGEST", 60, "the files are too large for a configuration")],
)
def test_more_than_a_configuration_has(
    complaints: Complain, write: Write, monkeypatch: pytest.MonkeyPatch, limit: str, most: int, said: str
) -> None:
    monkeypatch.setattr(include, limit, most)
    write(**{f"c/{name}.toml": SERVICE.format(name) for name in "abc"})
    (line,) = complaints('include = ["c/*.toml"]\n')
    assert line.startswith(f"services.toml:1: include: {said}")
