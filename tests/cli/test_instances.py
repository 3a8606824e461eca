"""`status NAME`, `tree --depends` and the errors of `exec`, with a double behind a real socket or only a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from supervisor.cli.main import main
from tests.doubles.fake_client import beating, view
from tests.doubles.fake_daemon import serve

ROWS = [
    view("redis", **beating(0.04)),
    view("web@1", group="front"),
    view("web@2", "backoff", ready=False, group="front", cause="exited", exit_code=1, next_restart_in_s=4.2, attempt=2),
    view("all", group="front"),
]
LINES: dict[str, list[tuple[float | None, str]]] = {"redis": [(1000.0 + i, f"line {i}") for i in range(20)]}
FILE = """
[services.db]
command = ["sleep", "1"]
[services.cache]
command = ["sleep", "1"]
depends_on = ["db"]
[services.web]
command = ["sleep", "1"]
replicas = 2
group_name = "front"
depends_on = ["cache", "db"]
[services.alone]
command = ["sleep", "1"]
"""

Supervisor = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Supervisor:
    monkeypatch.chdir(tmp_path)
    for name in ("SUPERVISOR_SOCKET", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)

    def command(*arguments: str) -> tuple[int, str, str]:
        code = main(list(arguments))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return command


@pytest.fixture
def asked(run: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervisor]:
    path = f"{tmp_path}/run/control.sock"
    monkeypatch.setenv("SUPERVISOR_SOCKET", path)
    with serve(path, ROWS, lines=LINES):
        yield run


@pytest.fixture
def written(run: Supervisor, tmp_path: Path) -> Supervisor:
    """Only the file is there."""
    place = f'[supervisor]\nname = "t"\nruntime_dir = "{tmp_path}/r"\nstate_dir = "{tmp_path}/s"\n'
    (tmp_path / "services.toml").write_text(place + FILE)
    return run


# -- status ----------------------------------------------------------------------------------------------------------


def test_one_name_prints_its_page(asked: Supervisor) -> None:
    code, out, err = asked("status", "redis")
    assert (code, err) == (0, "") and out.startswith("redis\n")
    for label in ("Defined: /srv/shop/services.toml", "State: running and ready", "Next: ", "Heartbeat: silent for "):
        assert label in out
    assert [line.split()[-1] for line in out.splitlines() if "line " in line] == [str(n) for n in range(10, 20)]
    assert "supervisor why redis" in out and "NAME" not in out


def test_of_a_service_with_several_instances_the_rows_stand_on_its_page(asked: Supervisor) -> None:
    code, out, _ = asked("status", "web")
    assert code == 3 and out.startswith("web\n")
    assert "web@1  running" in out and "next try in 4.2s" in out
    assert "supervisor why web@2" in out, "the one that fails"


def test_an_instance_has_a_page_with_why_it_failed(asked: Supervisor) -> None:
    code, out, _ = asked("status", "web@2")
    assert code == 3
    assert "Next: in 4.2 s: it is started again (attempt 2)" in out and "supervisor reset web@2" in out


@pytest.mark.parametrize("names", [["redis", "web"], ["red*"], ["*@1"], ["front"], []])
def test_several_names_and_patterns_print_rows(asked: Supervisor, names: list[str]) -> None:
    out = asked("status", *names)[1]
    assert out.startswith("NAME ")


def test_a_service_that_is_named_as_a_pattern_has_a_page(asked: Supervisor) -> None:
    assert asked("status", "all")[1].startswith("all\n")


def test_json_of_one_name_is_the_answer_of_the_api(asked: Supervisor) -> None:
    found = json.loads(asked("status", "--json", "redis")[1])
    assert [row["name"] for row in found["instances"]] == ["redis"] and "supervisor" in found


def test_with_colour_the_page_begins_with_a_dot(asked: Supervisor) -> None:
    assert asked("status", "--color", "redis")[1].startswith("\x1b[")
    out = asked("status", "--color", "web")[1]
    assert "● " in out and "running" in out and "supervisor why web@2" in out


def test_an_unknown_name(asked: Supervisor) -> None:
    assert asked("status", "redsi")[0] == 4


# -- tree ------------------------------------------------------------------------------------------------------------


def test_dependencies_without_a_daemon(written: Supervisor) -> None:
    code, out, err = written("tree", "--depends")
    assert code == 0 and "no daemon answers; reading" in err
    assert out == "web\n|- cache\n|  `- db\n`- db\nalone\n"


def test_what_depends_on_a_service(written: Supervisor) -> None:
    assert written("tree", "--depends", "--reverse", "db")[1] == "db\n|- cache\n|  `- web\n`- web\n"
    assert written("list-dependencies", "--reverse", "cache")[1] == "cache\n`- web\n"


def test_names_of_instances_and_groups_and_patterns_mean_their_services(written: Supervisor) -> None:
    expected = written("tree", "--depends", "web")[1]
    for name in ("web@2", "front", "w*"):
        assert written("tree", "--depends", name)[1] == expected
    code, _, err = written("tree", "--depends", "cahce")
    assert code == 4 and 'did you mean "cache"?' in err


def test_dependencies_as_json(written: Supervisor) -> None:
    found = json.loads(written("tree", "--depends", "--json", "cache")[1])["services"]
    assert found == [
        {"service": "cache", "states": [], "depends_on": ["db"]},
        {"service": "db", "states": [], "depends_on": []},
    ]
    found = json.loads(written("tree", "--depends", "--reverse", "--json", "cache")[1])["services"]
    assert found[0] == {"service": "cache", "states": [], "needed_by": ["web"]}


def test_the_states_of_services_stand_beside_them(asked: Supervisor) -> None:
    out = asked("tree", "--depends")[1]
    assert out == "redis  running, ready\nweb  web@1 running, ready, web@2 backoff\nall  running, ready\n"


def test_no_name_is_empty(asked: Supervisor) -> None:
    for words in (("tree", ""), ("tree", "--depends", ""), ("exec", "", "--", "true")):
        code, out, err = asked(*words)
        assert (code, out) == (4, "") and "''" in err, words


def test_no_service_of_the_file_has_an_empty_name(written: Supervisor) -> None:
    code, out, err = written("show", "")
    assert (code, out) == (4, "") and "no service '' in" in err


def test_what_tree_refuses(written: Supervisor) -> None:
    assert written("tree", "--reverse", "web")[0] == 2
    code, out, err = written("tree", "web")
    assert (code, out) == (5, "") and "no daemon" in err


# -- exec ------------------------------------------------------------------------------------------------------------


def test_exec_says_what_is_missing(asked: Supervisor) -> None:
    code, _, err = asked("exec", "redis")
    assert code == 2 and "For a shell: supervisor exec redis -- sh" in err
    code, _, err = asked("exec", "redis", "--")
    assert code == 2
    code, _, err = asked("exec", "front", "--", "true")
    assert code == 2 and "front means 2 services" in err
    code, _, err = asked("exec", "redsi", "--", "true")
    assert code == 4 and "redis" in err
    code, _, err = asked("exec", "redis", "--", "true")
    assert code == 1 and "the definition of redis in force cannot be read" in err


def test_exec_finds_services_of_the_file(written: Supervisor) -> None:
    code, _, err = written("exec", "wbe", "--", "true")
    assert code == 4 and 'did you mean "web"?' in err


def test_exec_needs_what_the_environment_comes_from(written: Supervisor, tmp_path: Path) -> None:
    file = tmp_path / "services.toml"
    file.write_text(f'{file.read_text()}environment_file = "away.env"\n')
    code, _, err = written("exec", "alone", "--", "true")
    assert code == 1 and "environment_file" in err and "away.env" in err
