"""Commands on a configuration of several files, with parents and profiles; no daemon runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from click.testing import CliRunner, Result

from supervisor.cli.commands import cli
from supervisor.cli.daemon_target import DaemonTarget
from supervisor.cli.fleet import _Fleet
from supervisor.cli.instances.page import _defined
from supervisor.cli.up import _tell_of_profiles
from supervisor.client import Client
from supervisor.core.model.documents import Supervisor
from supervisor.display.deviations import deviation_lines
from supervisor.errors import ConfigError, NoSuchService, UsageError

MAIN = """\
include = ["conf.d/*.toml"]
[supervisor]
runtime_dir = "r"
state_dir = "s"
[services.web]
command = ["sleep", "1"]
"""
MORE = """\
[templates.base]
command = ["sleep", "2"]
[services.dev]
extends = "base"
profiles = ["dev"]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SUPERVISOR_SOCKET", raising=False)
    monkeypatch.delenv("SUPERVISOR_PROFILES", raising=False)
    (tmp_path / "services.toml").write_text(MAIN)
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d/more.toml").write_text(MORE)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def test_check_names_the_files_and_what_is_not_there() -> None:
    shown = run("check").output
    assert "services.toml\n           conf.d/more.toml\n" in shown
    assert "  profiles none; not there: dev (dev)\n" in shown and "1 service, 1 instance" in shown
    shown = run("check", "--profile", "dev").output
    assert "  profiles dev\n" in shown and "2 services, 2 instances" in shown
    assert run("--profile", "dev", "check").output.splitlines()[:6] == shown.splitlines()[:6]
    assert run("check", "--profile", "a,dev").exception.message.startswith("--profile: no service of services.toml has")  # type: ignore[union-attr]


def test_commands_take_the_profiles_of_the_daemon_that_runs(folder: Path) -> None:
    """Also a file that makes sense with one of them only can be edited."""
    (folder / "r").mkdir()
    (folder / "r/running").touch()
    (folder / "r/plan.json").write_text(json.dumps({"profiles": ["dev"]}))
    assert "  profiles dev\n" in run("check").output
    assert "is not there" not in run("show", "dev").output
    (folder / "services.toml").write_text(f'{MAIN}depends_on = ["dev"]\n')
    assert run("add", "more", "--", "sleep", "5").exit_code == 0
    (folder / "r/running").unlink()
    assert isinstance(run("check").exception, ConfigError)


def test_show_names_file_and_parent_and_that_it_is_not_there() -> None:
    shown = run("show", "dev")
    assert "conf.d/more.toml:2 [templates.base]  command" in shown.output
    assert "dev is not there: none of its profiles is active (dev)" in shown.output
    assert "is not there" not in run("show", "--profile", "dev", "dev").output
    rows = {row["key"]: row for row in json.loads(run("show", "--profile", "dev", "--json", "dev").stdout)["keys"]}
    assert rows["command"] == {
        "key": "command",
        "value": ["sleep", "2"],
        "of": "templates.base",
        "file": str(Path.cwd() / "conf.d/more.toml"),
        "line": 2,
    }
    wrong = run("show", "devv").exception
    assert isinstance(wrong, NoSuchService) and 'did you mean "dev"?' in wrong.message


def test_the_page_of_a_service_names_its_file(folder: Path) -> None:
    assert _defined(f"{folder}/services.toml", "web") == f"{folder}/services.toml:5"
    assert _defined(f"{folder}/services.toml", "dev") == f"{folder}/conf.d/more.toml:3"
    assert _defined(f"{folder}/services.toml", "gone") == f"{folder}/services.toml"


def test_a_reload_takes_profiles_or_none() -> None:
    assert isinstance(run("reload", "--profile", "dev", "--no-profile").exception, UsageError)


def test_one_file_is_installed_on_other_hosts(folder: Path) -> None:
    with pytest.raises(ConfigError, match="include: one file is installed on the hosts"):
        _Fleet.bring_file(cast("_Fleet", SimpleNamespace()), folder / "services.toml")


@pytest.mark.parametrize(
    ("given", "active", "told"),
    [
        ((), ["dev"], ""),
        (("dev",), ["dev"], ""),
        (("*",), ["dev"], ""),
        (("a", "b"), [], "active profiles of the running daemon: none; `supervisor reload --profile a --profile b` "),
    ],
)  # fmt: skip
def test_up_tells_that_a_running_daemon_has_other_profiles(
    capsys: pytest.CaptureFixture[str], given: tuple[str, ...], active: list[str], told: str
) -> None:
    target = DaemonTarget()
    target.profiles = given
    client = SimpleNamespace(status=lambda: {"supervisor": {"profiles": active}})
    _tell_of_profiles(target, cast("Client", client))
    said = capsys.readouterr().err
    assert said == (f"{told}changes them\n" if told else "")


@pytest.mark.parametrize(
    ("daemon", "lines"),
    [
        ({}, []),
        ({"profiles": ["dev"], "inactive": {}}, ["active profiles: dev"]),
        (
            {"profiles": [], "inactive": {f"s{n}": ["a", "b"] for n in range(7)}},
            ["active profiles: none; not there: s0 (a, b), s1 (a, b), s2 (a, b), s3 (a, b), s4 (a, b) and 2 more"],
        ),
    ],
)
def test_what_is_not_there_in_words(daemon: Any, lines: list[str]) -> None:
    assert deviation_lines(cast("Supervisor", daemon)) == lines


def test_a_plain_file_costs_no_imports(folder: Path) -> None:
    (folder / "services.toml").write_text('[services.web]\ncommand = ["sleep", "1"]\n')
    program = (
        "import sys\nfrom supervisor.config.compile import main\n"
        "code = main(['services.toml', '--report'])\n"
        "names = {'supervisor.config.' + name for name in ('include', 'inherit', 'profiles')}\n"
        "sys.stderr.write(repr(sorted(names & sys.modules.keys())))\nsys.exit(code)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr == "[]" and "profiles" not in done.stdout and "inactive" not in done.stdout
