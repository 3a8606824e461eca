"""`init --from`: what is written, what is said, and what is refused, with nothing lost."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from supervisor.cli.main import main

PROCFILE = "web: sh -c 'echo $PORT; exec sleep 1000'\n  indented: sleep 1\nclock: sleep 1000\n"


@dataclass
class Run:
    code: int
    out: str
    err: str


Supervisor = Callable[..., Run]


@pytest.fixture
def supervisor(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Supervisor:
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Run:
        code = main(list(arguments))
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return Run(code, captured.out, captured.err)

    return run


@pytest.fixture(autouse=True)
def procfile(tmp_path: Path) -> Path:
    path = tmp_path / "Procfile"
    path.write_text(PROCFILE)
    return path


def test_two_commands_from_a_procfile_to_a_plan(supervisor: Supervisor, tmp_path: Path) -> None:
    run = supervisor("init", "--from", "Procfile")
    assert run.code == 0, run.err
    assert "services.toml written: 2 services of procfile" in run.out
    assert "web  from Procfile:1" in run.out and "clock  from Procfile:3" in run.out
    assert "Procfile:2" in run.out, "the line that foreman ignores is told"
    checked = supervisor("check")
    assert checked.code == 0, checked.err
    assert "web" in checked.out and "clock" in checked.out


def test_what_to_type_next_names_a_file_that_is_not_the_usual_one(supervisor: Supervisor) -> None:
    for arguments in (
        ("init", "--from", "Procfile", "-o", "other.toml"),
        ("init", "third.toml"),
        ("init", "fourth.toml", "--", "true"),
        ("-f", "fifth.toml", "init"),
        ("-f", "sixth.toml", "init", "--from", "Procfile"),
    ):
        name = next(one for one in arguments if one.endswith(".toml"))
        out = supervisor(*arguments).out
        assert f"`supervisor -f {name} check`" in out and f"`supervisor -f {name} up`" in out


def test_the_outcome_as_json(supervisor: Supervisor) -> None:
    run = supervisor("init", "--from", "Procfile", "--json")
    found = json.loads(run.out)
    assert (found["file"], found["tool"], found["problems"]) == ("services.toml", "procfile", [])
    assert [(one["name"], one["line"]) for one in found["services"]] == [("web", 1), ("clock", 3)]
    assert any(loss["line"] == 2 and loss["kind"] == "ignored" for loss in found["losses"])


def test_an_existing_file_stays_without_force(supervisor: Supervisor, tmp_path: Path) -> None:
    target = tmp_path / "services.toml"
    target.write_text("# mine\n")
    refused = supervisor("init", "--from", "Procfile")
    assert refused.code == 1 and "--force" in refused.err
    assert target.read_text() == "# mine\n"
    assert supervisor("init", "--from", "Procfile", "--force").code == 0
    assert "[services.web]" in target.read_text()


def test_who_may_not_read_the_source_may_not_read_the_result(
    supervisor: Supervisor, procfile: Path, tmp_path: Path
) -> None:
    procfile.chmod(0o600)
    assert supervisor("init", "--from", "Procfile").code == 0
    assert stat.S_IMODE((tmp_path / "services.toml").stat().st_mode) == 0o600


def test_a_file_beside_counts_as_well(supervisor: Supervisor, tmp_path: Path) -> None:
    beside = tmp_path / ".env"
    beside.write_text("TOKEN=q7z k9w # c\n")  # read otherwise here, so its values are written out
    beside.chmod(0o600)
    run = supervisor("init", "--from", "Procfile")
    assert run.code == 0 and "q7z" not in run.out + run.err
    assert "q7z k9w # c" in (tmp_path / "services.toml").read_text()
    assert stat.S_IMODE((tmp_path / "services.toml").stat().st_mode) == 0o600


def test_to_stdout_nothing_is_written(supervisor: Supervisor, tmp_path: Path) -> None:
    run = supervisor("init", "--from", "Procfile", "-o", "-")
    assert run.code == 0 and "[services.web]" in run.out and "Procfile:2" in run.err
    assert not (tmp_path / "services.toml").exists()


def test_what_check_refuses_is_written_and_told(supervisor: Supervisor, procfile: Path, tmp_path: Path) -> None:
    procfile.write_text("web: /no/such/program --now\n")
    run = supervisor("init", "--from", "Procfile")
    assert run.code == 1
    assert "/no/such/program" in run.out + run.err and (tmp_path / "services.toml").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--from", "nothing-here"], "cannot read nothing-here: No such file or directory"),
        (["--from", "notes.txt"], "--format"),
        (["--from", "Procfile", "--format", "upstart"], "the tools are circus, compose"),
        (["--from", "web.service"], "cannot read web.service: No such file or directory"),
        (["--from", "web.service"], "Name the file of the unit with its folder: /etc/systemd/system/web.service"),
        (["--from", "Procfile", "--env", "production"], "--env goes with an ecosystem file of PM2"),
        (["--env", "production"], "go with --from"),
        (["--json"], "go with --from"),
        (["a.toml", "b.toml"], "go with --from"),
    ],
)
def test_a_request_that_makes_no_sense(supervisor: Supervisor, tmp_path: Path, arguments: list[str], said: str) -> None:
    (tmp_path / "notes.txt").write_text("nothing of any tool\n")
    run = supervisor("init", *arguments)
    assert run.code == 2 and said in run.err
    assert not (tmp_path / "services.toml").exists()


CONF = "[supervisord]\n[program:web]\ncommand=sleep 1000 --password=q7z\nenvironment=TOKEN=k9w\n"
READER = """#!{python} -S
import json
process = {{"group": "web", "name": "web", "command": "{command}", "environment": {{"TOKEN": "{token}"}},
            "directory": None, "listener": False}}
print(json.dumps({{"version": "4.3.0", "directory": None, "processes": [process]}}))
"""


@pytest.mark.parametrize(
    ("command", "token", "code", "said"),
    [
        ("sleep 1000 --password=q7z", "k9w", 0, ["supervisord 4.3.0", "web, 1 process  supervisord.conf:2: the same"]),
        (
            "sleep 1 --password=q7z",
            "other",
            1,
            ["web, 1 process  supervisord.conf:2\n", "variable TOKEN: another value", "1 --password=***"],
        ),
    ],
)
def test_two_understandings_side_by_side(
    supervisor: Supervisor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    token: str,
    code: int,
    said: list[str],
) -> None:
    """A reader that answers in place of supervisord: what the real one says is recorded in tests/config/importers."""
    (tmp_path / "supervisord.conf").write_text(CONF)
    reader = tmp_path / "python-reader"  # taken for the interpreter that has supervisord
    reader.write_text(READER.format(python=sys.executable, command=command, token=token))
    reader.chmod(0o755)
    monkeypatch.setattr("supervisor.config.importers.supervisord.check.find_supervisord", lambda _path: str(reader))
    run = supervisor("init", "--from", "supervisord.conf", "--check")
    assert run.code == code, run.err
    assert all(text in run.out for text in said), run.out
    assert not any(secret in run.out + run.err for secret in ("q7z", "k9w"))
    assert not (tmp_path / "services.toml").exists()


def test_without_supervisord_nothing_is_compared(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "supervisord.conf").write_text(CONF)
    monkeypatch.setenv("PATH", str(tmp_path))
    run = supervisor("init", "--from", "supervisord.conf", "--check")
    assert run.code == 2 and "looks for the program supervisord in PATH" in run.err
    refused = supervisor("init", "--from", "Procfile", "--check")
    assert refused.code == 2 and "--check looks for the programs foreman and honcho in PATH" in refused.err
    assert not (tmp_path / "services.toml").exists()


def test_a_file_without_a_service_writes_nothing(supervisor: Supervisor, procfile: Path, tmp_path: Path) -> None:
    procfile.write_text("# nothing\n")
    run = supervisor("init", "--from", "Procfile")
    assert run.code == 2 and "Procfile: no process is defined" in run.err
    assert not (tmp_path / "services.toml").exists()


@pytest.mark.parametrize("output", ["Procfile", "./Procfile", ".env"])
def test_a_source_is_never_overwritten(supervisor: Supervisor, procfile: Path, output: str) -> None:
    environment = procfile.with_name(".env")
    environment.write_text("PORT=1\n")
    run = supervisor("init", "--from", "Procfile", "-o", output, "--force")
    assert run.code == 2
    assert f"{output} is read by this import" in run.err
    assert (procfile.read_text(), environment.read_text()) == (PROCFILE, "PORT=1\n")


def test_a_link_to_a_source_is_replaced_and_the_source_stays(supervisor: Supervisor, procfile: Path) -> None:
    link = procfile.with_name("services.toml")
    link.symlink_to("Procfile")
    assert supervisor("init", "--from", "Procfile", "--force").code == 0
    assert not link.is_symlink() and procfile.read_text() == PROCFILE


def test_a_folder_in_the_place_of_the_output_leaves_nothing_behind(supervisor: Supervisor, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    run = supervisor("init", "--from", "Procfile", "-o", "made", "--force")
    assert (run.code, run.err) == (1, "supervisor: cannot write made: Is a directory\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Procfile", "made"]


@pytest.mark.parametrize("force", [[], ["--force"]])
def test_a_path_that_toml_cannot_hold_is_refused(supervisor: Supervisor, tmp_path: Path, force: list[str]) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    (folder / "Procfile").write_text(PROCFILE)
    run = supervisor("init", "--from", str(folder / "Procfile"), *force)
    assert run.code == 1
    assert "cannot write services.toml: a name or path in it is not UTF-8" in run.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Procfile", folder.name]


def test_what_is_written_is_utf_8_in_every_locale(tmp_path: Path, procfile: Path) -> None:
    procfile.write_text("web: echo ü\n")
    posix = {**os.environ, "LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-m", "supervisor"]
    for arguments in (["init", "--from", "Procfile"], ["add", "b", "--", "echo", "b"]):
        ended = subprocess.run([*command, *arguments], cwd=tmp_path, env=posix, capture_output=True, check=False)
        assert ended.returncode == 0, ended.stderr
    assert 'command = ["echo", "ü"]' in (tmp_path / "services.toml").read_text("utf-8")


ECOSYSTEM = "module.exports = {apps: [{name: 'a', script: '/bin/true', env: {A: 'x'}, env_production: {A: 'y'}}]}\n"


@pytest.mark.parametrize("name", ["a.config.js", "a.config.cjs", "a.config.mjs"])
def test_the_environment_of_pm2_that_is_named_counts(supervisor: Supervisor, tmp_path: Path, name: str) -> None:
    text = ECOSYSTEM.replace("module.exports =", "export default") if name.endswith("mjs") else ECOSYSTEM
    (tmp_path / name).write_text(text)
    for env, value in ((["--env", "production"], "y"), ([], "x"), (["--env", "test"], "x")):
        run = supervisor("init", "--from", name, "-o", "-", *env)
        assert run.code == 0, run.err
        assert f'A = "{value}"' in run.out
    assert "env_test: No application has it" in run.err
