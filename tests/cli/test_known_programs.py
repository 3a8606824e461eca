"""`init -- COMMAND` and `add NAME -- COMMAND` write what a known program needs, and say why."""

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from supervisor.cli.commands import cli
from supervisor.cli.why import _command, _folder
from supervisor.errors import OperationFailed, UsageError

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SUPERVISOR_SOCKET", raising=False)
    return lambda *arguments: CliRunner().invoke(cli, arguments)


@pytest.fixture
def php(tmp_path: Path) -> str:
    path = tmp_path / "php-fpm8.2"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


def test_a_new_file_for_a_command(run: Run, php: str, tmp_path: Path) -> None:
    result = run("init", "--", php)
    assert result.exit_code == 0, result.output
    assert "without -F PHP-FPM goes to the background and counts as ended" in result.output
    (service,) = tomllib.loads((tmp_path / "services.toml").read_text())["services"].items()
    keys = {"ready": {"notify": True}, "heartbeat": {"source": "notify"}, "reload_signal": "USR2"}
    keys["reload_check"] = [php, "-t", "-F"]
    assert service == ("php-fpm", {"command": [php, "-F"], **keys})
    assert run("check").exit_code == 0
    again = run("init", "--", php)
    assert isinstance(again.exception, OperationFailed) and "exists already" in again.exception.message
    assert f"supervisor add php-fpm -- {php}" in (again.exception.hint or "")
    assert run("init", "--force", "other.toml", "--", "sleep", "1").exit_code == 0
    assert tomllib.loads((tmp_path / "other.toml").read_text()) == {"services": {"sleep": {"command": ["sleep", "1"]}}}


def test_an_added_service_has_them_too(run: Run, php: str, tmp_path: Path) -> None:
    result = run("add", "blog", "--", php, "-F")
    assert result.exit_code == 0, result.output
    assert "PHP-FPM sends WATCHDOG=1" in result.output and "without -F" not in result.output
    assert tomllib.loads((tmp_path / "services.toml").read_text())["services"]["blog"]["ready"] == {"notify": True}


@pytest.mark.parametrize(
    "arguments", [["init", "--"], ["init", "-o", "x", "--", "true"], ["init", "--json", "--", "true"]]
)
def test_what_does_not_go_together(run: Run, arguments: list[str], tmp_path: Path) -> None:
    assert isinstance(run(*arguments).exception, UsageError)
    assert not (tmp_path / "services.toml").exists()


@pytest.mark.parametrize(
    "files",
    [
        {"services.toml": '[services.blog]\ncommand = "php-fpm -F"\n'},
        {"services.toml": 'include = ["more.toml"]\n', "more.toml": '[services.blog]\ncommand = ["php-fpm", "-F"]\n'},
        {"services.toml": '[templates.php]\ncommand = "php-fpm -F"\n[services.blog]\nextends = "php"\n'},
        {"services.toml": '[defaults]\ncommand = "php-fpm -F"\n[services.blog]\n'},
    ],
    ids=["own", "included", "of a parent", "of the defaults"],
)
def test_why_finds_the_command_wherever_it_is_written(files: dict[str, str], tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert _command(str(tmp_path / "services.toml"), "blog") == ["php-fpm", "-F"]


@pytest.mark.parametrize(
    ("keys", "folder"), [("", "."), ('directory = "shop"', "shop"), ('directory = "/srv"', "/srv"), ("x = ", ".")]
)
def test_why_looks_for_changed_files_where_the_service_runs(keys: str, folder: str, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "services.toml").write_text('include = ["more/*.toml"]\n')
    (tmp_path / "more" / "blog.toml").write_text(f'[services.blog]\ncommand = "web conf"\n{keys}\n')
    assert _folder(str(tmp_path / "services.toml"), "blog") == tmp_path / folder


@pytest.mark.parametrize("text", ["", "not toml", "services = 1\n", "[services]\nblog = 1\n", "[services.blog]\n"])
def test_without_a_command_why_says_nothing_of_the_program(text: str, tmp_path: Path) -> None:
    (tmp_path / "services.toml").write_text(text)
    assert _command(str(tmp_path / "services.toml"), "blog") == []
    assert _command(str(tmp_path / "gone.toml"), "blog") == []


def test_a_command_that_check_refuses_is_told(run: Run, tmp_path: Path) -> None:
    result = run("init", "--", "no-such-program")
    assert isinstance(result.exception, OperationFailed)
    assert "no-such-program" in (result.exception.hint or "")
    assert (tmp_path / "services.toml").exists()
    assert "supervisor up" not in result.output


@pytest.mark.parametrize("words", [["sleep"], ["sleep", "1"], ["no-such-program", "1"]])
def test_a_forgotten_double_dash_is_told(run: Run, words: list[str], tmp_path: Path) -> None:
    error = run("init", *words).exception
    assert isinstance(error, UsageError) and f"supervisor init -- {' '.join(words)}" in (error.hint or "")
    assert not list(tmp_path.iterdir())


def test_an_import_adds_the_check_of_a_known_program_and_says_so(run: Run, php: str, tmp_path: Path) -> None:
    unit = tmp_path / "blog.service"
    unit.write_text(f"[Service]\nExecStart={php} -F\nExecReload=/bin/kill -USR2 $MAINPID\n")
    result = run("init", "--from", str(unit))
    assert result.exit_code == 0, result.output
    said = "reload_check finds a broken configuration before a reload, which would end PHP-FPM"
    assert f"chosen: {unit}" in result.output and said in result.output
    text = (tmp_path / "services.toml").read_text()
    service = tomllib.loads(text)["services"]["blog"]
    assert (service["reload_signal"], service["reload_check"]) == ("USR2", [php, "-t", "-F"])
    assert said in text


def test_an_import_keeps_the_check_that_its_file_has(run: Run, php: str, tmp_path: Path) -> None:
    unit = tmp_path / "blog.service"
    own = f"ExecReload={php} -tt\nExecReload=/bin/kill -USR2 $MAINPID"
    unit.write_text(f"[Service]\nExecStart={php} -F\n{own}\n")
    result = run("init", "--from", str(unit))
    assert "reload_check finds" not in result.output
    service = tomllib.loads((tmp_path / "services.toml").read_text())["services"]["blog"]
    assert service["reload_check"] == [php, "-tt"]
