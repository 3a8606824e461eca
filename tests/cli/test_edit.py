"""`edit` and `add`: a text that `check` refuses never takes the place of the file, and nothing typed is lost."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from supervisor.cli.commands import cli
from supervisor.errors import OperationFailed, SupervisorError

FILE = '# my services\n[services.a]\ncommand = ["sleep", "1"]   # one second\n'

Run = Callable[..., Result]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "services.toml"
    path.write_text(FILE)
    path.chmod(0o640)
    return path


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A command with an editor that does `sed` with the expression; what it raised is `exception`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.delenv("SUPERVISOR_SOCKET", raising=False)

    def invoke(*arguments: str, editor: str = "", answers: str = "") -> Result:
        monkeypatch.setenv("EDITOR", f"sed -i '{editor}'")
        return CliRunner().invoke(cli, arguments, input=answers)

    return invoke


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_an_added_service_stands_at_the_end_and_the_rest_as_it_was(run: Run, file: Path) -> None:
    assert run("add", "b", "--", "sleep", "--", "$PORT", "${X}").exit_code == 0
    assert file.read_text() == f'{FILE}\n[services.b]\ncommand = ["sleep", "--", "$PORT", "$${{X}}"]\n'
    assert file.stat().st_mode & 0o777 == 0o640
    assert left(file.parent) == ["services.toml"]


def test_the_first_service_begins_the_file(run: Run, tmp_path: Path) -> None:
    assert run("add", "b", "--", "sleep", "5").exit_code == 0
    assert (tmp_path / "services.toml").read_text() == '[services.b]\ncommand = ["sleep", "5"]\n'


def test_a_service_runs_where_it_was_added(run: Run, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = file.parent / "app"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert run("add", "-f", str(file), "b", "--", "sleep", "5").exit_code == 0
    assert f'directory = "{folder}"' in file.read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a", "--", "sleep", "5"], "has a service a already"),
        (["b", "--", "no-such-program"], "not on the PATH"),
        (["b c", "--", "sleep", "5"], "not a valid name"),
        (["b", "sleep", "5"], "-- stands between"),
        (["b", "--"], "-- stands between"),
    ],
)
def test_what_cannot_be_added_changes_nothing(run: Run, file: Path, arguments: list[str], said: str) -> None:
    refused = run("add", *arguments)
    assert isinstance(refused.exception, SupervisorError) and said in str(refused.exception)
    assert refused.exception.exit_code == 2
    assert file.read_text() == FILE
    assert left(file.parent) == ["services.toml"]


def test_an_edited_file_is_checked_and_takes_its_place(run: Run, file: Path) -> None:
    done = run("edit", editor='s/"1"/"2"/')
    assert "no daemon runs: `supervisor up` starts the services" in done.output
    assert file.read_text() == FILE.replace('"1"', '"2"')
    assert file.stat().st_mode & 0o777 == 0o640
    assert left(file.parent) == ["services.toml"]


def test_nothing_edited_is_nothing_done(run: Run, file: Path) -> None:
    assert "nothing was changed" in run("edit").output
    assert left(file.parent) == ["services.toml"]


def test_a_refused_text_stays_beside_the_file(run: Run, file: Path) -> None:
    refused = run("edit", editor="s/command/comand/", answers="n\n")
    assert 'unknown key; did you mean "command"?' in refused.output
    assert f"{file}:3: services.a.comand" in refused.output, "it is named as the file, with the line"
    assert file.read_text() == FILE
    assert isinstance(refused.exception, SupervisorError) and refused.exception.exit_code == 1
    (copy,) = [name for name in left(file.parent) if name != "services.toml"]
    assert f"What you wrote is in {file.parent / copy}" in refused.output
    assert (file.parent / copy).read_text() == FILE.replace("command", "comand")


def test_without_an_answer_it_is_not_edited_again(run: Run, file: Path) -> None:
    assert "stays as it was" in str(run("edit", editor="s/command/comand/").exception)
    assert file.read_text() == FILE


def test_a_refused_text_is_edited_again(run: Run, file: Path) -> None:
    """The editor breaks the key the first time, and mends it the second."""
    done = run("edit", editor="s/^command/comand/;t;s/^comand/command/;s/sleep/true/", answers="y\n")
    assert done.exit_code == 0, done.output
    assert 'command = ["true", "1"]' in file.read_text()
    assert left(file.parent) == ["services.toml"]


def test_what_another_wrote_in_between_is_not_lost(
    run: Run, file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    script = tmp_path_factory.mktemp("bin") / "editor"
    script.write_text(f"#!/bin/sh\necho '# mine' >>\"$1\"\necho '# of another' >>{file}\n")
    script.chmod(0o755)
    monkeypatch.setenv("VISUAL", str(script))
    refused = run("edit")
    assert isinstance(refused.exception, SupervisorError)
    assert "was changed by another program" in str(refused.exception)
    assert file.read_text() == FILE + "# of another\n"
    (copy,) = [name for name in left(file.parent) if name != "services.toml"]
    assert copy in refused.output and (file.parent / copy).read_text() == FILE + "# mine\n"


def test_an_editor_that_fails_leaves_nothing(run: Run, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISUAL", "false")
    assert run("edit").exit_code == 1
    assert file.read_text() == FILE
    assert left(file.parent) == ["services.toml"]


@pytest.mark.parametrize("ending", ["exit 1", "kill -INT $PPID", r"""printf '\377' >>"$1" """])
def test_what_was_typed_is_named_however_the_editor_ends(file: Path, tmp_path: Path, ending: str) -> None:
    script = tmp_path / "editor"
    script.write_text(f"#!/bin/sh\necho '# mine' >>\"$1\"\n{ending}\n")
    script.chmod(0o755)
    environment = {**os.environ, "VISUAL": str(script)}
    command = [sys.executable, "-m", "supervisor", "edit", "-f", str(file)]
    ended = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert ended.returncode in (1, 130)
    assert file.read_text() == FILE
    (copy,) = tmp_path.glob(".services.toml.*")
    assert copy.read_bytes().startswith(f"{FILE}# mine\n".encode())
    assert f"What you wrote is in {copy}" in ended.stderr.decode()
    assert "Traceback" not in ended.stderr.decode()


def test_a_word_that_toml_cannot_hold_changes_nothing(run: Run, file: Path) -> None:
    result = run("add", "b", "--", "echo", os.fsdecode(b"caf\xe9"))
    assert isinstance(result.exception, OperationFailed)
    assert "is not UTF-8" in result.exception.message
    assert file.read_text() == FILE
    assert left(file.parent) == ["services.toml"]


@pytest.mark.parametrize(
    ("editor", "said"),
    [
        ("no-such-editor -w", "there is no editor no-such-editor, which VISUAL names"),
        ("' ", "the command in VISUAL has a quote that is not closed"),
        (" ", "there is no editor ' ', which VISUAL names"),
        ("false", "the editor of VISUAL ended with an error"),
    ],
)
def test_an_editor_that_cannot_be_run_is_named_by_its_variable(
    editor: str, said: str, run: Run, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISUAL", editor)
    failed = run("edit", "-f", str(file)).exception
    assert isinstance(failed, OperationFailed)
    assert failed.message == said
    assert editor == "false" or "EDITOR=nano supervisor edit" in failed.hint
    assert file.read_text() == FILE and left(file.parent) == ["services.toml"]


def test_without_any_editor_it_says_what_to_set(run: Run, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _name: None)
    monkeypatch.delenv("EDITOR", raising=False)
    failed = CliRunner().invoke(cli, ["edit", "-f", str(file)]).exception
    assert isinstance(failed, OperationFailed) and "neither VISUAL nor EDITOR is set" in failed.message


@pytest.fixture
def divided(file: Path) -> Path:
    """An included file with a comment, beside one with a template."""
    file.write_text(f'include = ["conf.d/*.toml"]\n{FILE}')
    folder = file.parent / "conf.d"
    folder.mkdir()
    (folder / "b.toml").write_text('# mail\n[services.mail]\nextends = "base"\n')
    (folder / "base.toml").write_text('[templates.base]\ncommand = ["sleep", "2"]\n')
    return folder


@pytest.mark.parametrize(
    ("what", "name", "editor"),
    [
        ("mail", "b.toml", "s/# mail/# post/"),
        ("mail@2", "b.toml", "s/# mail/# post/"),
        ("base", "base.toml", "s/2/3/"),
        ("conf.d/base.toml", "base.toml", "s/2/3/"),
    ],
)
def test_the_file_that_has_a_service_is_edited(run: Run, divided: Path, what: str, name: str, editor: str) -> None:
    before, first = (divided / name).read_text(), (divided.parent / "services.toml").read_text()
    result = run("edit", what, editor=editor)
    assert result.exit_code == 0, result.output
    assert (divided / name).read_text() == before.replace("# mail", "# post").replace("2", "3")
    assert (divided.parent / "services.toml").read_text() == first and left(divided) == ["b.toml", "base.toml"]


def test_an_included_file_is_refused_with_its_own_name(run: Run, divided: Path) -> None:
    result = run("edit", "mail", editor="s/base/bass/", answers="n\n")
    assert f'{divided}/b.toml:3: services.mail.extends: there is no service or template "bass"' in result.output
    assert (divided / "b.toml").read_text().endswith('extends = "base"\n')


def test_a_name_or_a_file_that_is_not_part_of_it_is_not_edited(run: Run, divided: Path) -> None:
    assert "no service or template post" in str(run("edit", "post").exception)
    (divided.parent / "other.toml").write_text("# other\n")
    result = run("edit", "other.toml", editor="s/o/O/")
    assert "does not include" in str(result.exception)
    assert (divided.parent / "other.toml").read_text() == "# other\n"


def test_a_file_beside_the_others_is_no_second_one_while_it_is_checked(run: Run, file: Path) -> None:
    file.write_text(f'include = ["*.toml"]\n{FILE}')
    assert run("edit", editor="s/one second/1 s/").exit_code == 0
    assert "1 s" in file.read_text()


def test_a_service_is_added_to_an_included_file(run: Run, divided: Path) -> None:
    for name in ("b.toml", "new.toml"):
        result = run("add", "--to", f"conf.d/{name}", name.partition(".")[0], "--", "sleep", "5")
        assert result.exit_code == 0, result.output
    assert (divided / "b.toml").read_text().endswith('"base"\n\n[services.b]\ncommand = ["sleep", "5"]\n')
    assert (divided / "new.toml").read_text() == '[services.new]\ncommand = ["sleep", "5"]\n'


@pytest.mark.parametrize(
    ("to", "name", "said"),
    [
        ("other.toml", "c", "does not include"),
        ("conf.d/c.toml", "mail", "services.mail: is defined in"),
        ("conf.d/b.toml", "a", "services.a: is defined in"),
    ],
)
def test_what_cannot_be_added_to_an_included_file_changes_nothing(
    run: Run, divided: Path, to: str, name: str, said: str
) -> None:
    assert said in str(run("add", "--to", to, name, "--", "sleep", "5").exception)
    assert left(divided) == ["b.toml", "base.toml"] and left(divided.parent) == ["conf.d", "services.toml"]
