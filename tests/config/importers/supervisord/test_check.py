"""Both understandings side by side: what differs is named, the value of a variable never is."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from supervisor.config.importers.side_by_side import CheckFailed
from supervisor.config.importers.supervisord.check import (
    Comparison,
    RealProcess,
    RealReading,
    check,
    compare,
    find_supervisord,
    real_reading,
    side_by_side,
)
from supervisor.config.importers.supervisord.importer import read_source
from supervisor.config.importers.supervisord.syntax import Source
from tests.config.importers.supervisord.files import ENVIRONMENT, FILES

TEXT = """\
[supervisord]
[program:web]
command=run %(ENV_PLAIN)s %(process_num)d
process_name=%(program_name)s_%(process_num)d
numprocs=2
environment=A="%(ENV_PASSWORD)s",B="1"
directory=/srv
[program:plain]
command=run
"""


def compared(folder: Path, *real: RealProcess, text: str = TEXT, directory: str | None = None) -> Comparison:
    path = folder / "supervisord.conf"
    path.write_text(text)
    made = read_source(Source(path), ENVIRONMENT, cwd=folder, host="vm")
    return compare(RealReading("4.3.0", directory, real), made, ENVIRONMENT, str(folder))


def web(number: int, **changed: Any) -> RealProcess:
    environment = {"A": ENVIRONMENT["PASSWORD"], "B": "1"}
    fields: dict[str, Any] = {
        "group": "web",
        "name": f"web_{number}",
        "words": ("run", "abc", str(number)),
        "environment": environment,
        "directory": "/srv",
    }
    return RealProcess(**(fields | changed))


PLAIN = RealProcess("plain", "plain", ("run",), {}, None)


def test_the_same_is_no_difference(tmp_path: Path) -> None:
    found = compared(tmp_path, web(0), web(1), PLAIN)
    assert found.differences == ()
    first, second = found.rows
    assert (first.program, first.numprocs, first.command) == ("web", (2, 2), ("run abc 0", "run abc 0"))
    assert second.directory == (str(tmp_path), str(tmp_path))
    assert first.variables == (("A", "B"), ("A", "B"))


@pytest.mark.parametrize(
    ("real", "told"),
    [
        (web(1, words=("run", "x y")), "web:web_1: command: run 'x y' in supervisord, run abc 1 here"),
        (web(1, directory="/"), "web:web_1: directory: / in supervisord, /srv here"),
        (web(1, environment={"A": "other", "B": "1"}), "web:web_1: variable A: another value in supervisord, another "
         "value here"),
        (web(1, environment={"B": "1"}), "web:web_1: variable A: not set in supervisord, set here"),
        (web(1, environment={"A": ENVIRONMENT["PASSWORD"], "B": "1", "C": "x"}),
         "web:web_1: variable C: set in supervisord, not set here"),
    ],
)  # fmt: skip
def test_what_differs_is_named(real: RealProcess, told: str, tmp_path: Path) -> None:
    found = compared(tmp_path, web(0), real, PLAIN)
    assert [str(difference) for difference in found.differences] == [told]
    assert ENVIRONMENT["PASSWORD"] not in repr(found)


def test_a_process_that_one_of_them_lacks_differs(tmp_path: Path) -> None:
    found = compared(tmp_path, web(0), web(1), web(2))
    assert [str(difference) for difference in found.differences] == [
        "web:web_2: process: a process in supervisord, none here",
        "plain:plain: process: none in supervisord, a process here",
    ]
    assert [row.numprocs for row in found.rows] == [(3, 2), (0, 1)]


def test_what_supervisord_never_starts_as_a_service_is_left_out(tmp_path: Path) -> None:
    listener = RealProcess("e", "e", ("x",), {}, None, listener=True)
    broken = RealProcess("b", "b", None, {}, None)
    assert compared(tmp_path, web(0), web(1), PLAIN, listener, broken).differences == ()


def test_the_directory_of_the_daemon_is_its_own(tmp_path: Path) -> None:
    text = f"[supervisord]\ndirectory={tmp_path}/x\n[program:plain]\ncommand=run\n"
    assert compared(tmp_path, PLAIN, text=text, directory=f"{tmp_path}/x").differences == ()


def test_the_socket_of_a_fastcgi_program_is_no_part_of_its_command(tmp_path: Path) -> None:
    text = "[supervisord]\n[fcgi-program:plain]\ncommand=run\nsocket=tcp://127.0.0.1:9000\n"
    assert compared(tmp_path, PLAIN, text=text).differences == ()


def answered(monkeypatch: pytest.MonkeyPatch, code: int, output: object) -> list[list[str]]:
    """Put an answer in place of the interpreter; the list gets the command lines."""
    asked: list[list[str]] = []

    def run(words: list[str], **_: Any) -> subprocess.CompletedProcess[bytes]:
        asked.append(words)
        if isinstance(output, Exception):
            raise output
        return subprocess.CompletedProcess(
            words, code, output if isinstance(output, bytes) else json.dumps(output).encode()
        )

    monkeypatch.setattr(subprocess, "run", run)
    return asked


ANSWER: Mapping[str, Any] = {
    "version": "4.3.0",
    "directory": None,
    "processes": [
        {
            "group": "g",
            "name": "n",
            "command": "a 'b c'",
            "environment": {"A": "1"},
            "directory": "/",
            "listener": False,
        },
        {"group": "g", "name": "m", "command": "a 'b", "environment": {}, "directory": None, "listener": False},
    ],
}


def program(folder: Path, name: str, first: str) -> str:
    path = folder / name
    path.write_text(first)
    path.chmod(0o755)
    return str(path)


def test_the_answer_of_the_real_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answered(monkeypatch, 0, ANSWER)
    python = program(tmp_path, "python3", "")
    found = real_reading(Source(Path("x.conf")), python, {}, "/")
    assert found.processes[0] == RealProcess("g", "n", ("a", "b c"), {"A": "1"}, "/")
    assert found.processes[1].words is None
    assert asked[0][0] == python
    assert Path(asked[0][-1]).is_absolute()


@pytest.mark.parametrize(
    ("first", "python"),
    [
        ("#!/venv/bin/python\n", "/venv/bin/python"),
        ("#!/usr/bin/env python3.12\n", "python3.12"),
        ("#!\n", "HERE"),
        ("\x7fELF", "HERE"),
    ],
)
def test_the_interpreter_of_a_supervisord(
    first: str, python: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = answered(monkeypatch, 0, ANSWER)
    script = program(tmp_path, "supervisord", first)
    real_reading(Source(Path("x.conf")), script, {}, "/")
    assert asked[0][0] == python.replace("HERE", script)


@pytest.mark.parametrize(
    ("code", "output", "told"),
    [
        (3, b"", "has no supervisord"),
        (2, b"", "supervisord refuses"),
        (0, b"nonsense", "an answer that is not understood"),
        (0, {"version": "1"}, "an answer that is not understood"),
        (0, subprocess.TimeoutExpired("x", 20), "did not read"),
        (0, PermissionError(13, "Permission denied"), "cannot be run: Permission denied"),
    ],
)
def test_why_there_is_nothing_to_compare(
    code: int, output: object, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered(monkeypatch, code, output)
    with pytest.raises(CheckFailed, match=told):
        real_reading(Source(Path("x.conf")), program(tmp_path, "python3", ""), {}, "/")


def test_a_host_without_supervisord_is_told_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(CheckFailed) as failed:
        find_supervisord(str(tmp_path))
    assert "pip install supervisor" in failed.value.hint
    with pytest.raises(CheckFailed, match="there is no program"):
        real_reading(Source(Path("x.conf")), str(tmp_path / "python"), {}, "/")


def test_both_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answered(monkeypatch, 0, {"version": "4.3.0", "directory": None, "processes": []})
    script = program(tmp_path, "supervisord", "#!/usr/bin/python3\n")
    path = tmp_path / "supervisord.conf"
    path.write_text(FILES["nothing to start"]["supervisord.conf"])
    for interpreter in (None, script):
        assert check([path], {"PATH": str(tmp_path)}, interpreter, tmp_path) == (Comparison("4.3.0", ()),)


def test_a_file_without_a_main_file_is_included_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts: list[str] = []

    def run(words: list[str], **_: Any) -> subprocess.CompletedProcess[bytes]:
        texts.append(Path(words[-1]).read_text())
        return subprocess.CompletedProcess(words, 0, json.dumps(ANSWER).encode())

    monkeypatch.setattr(subprocess, "run", run)
    real_reading(Source(None, (Path("/a/100%[x].conf"), Path("/b"))), program(tmp_path, "python3", ""), {}, "/")
    assert texts == ["[supervisord]\n[include]\nfiles=/a/100%%[[]x].conf /b\n"]


def test_the_policies_of_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policies = {"user": None, "stop signal": 15, "stop timeout": 10, "autostart": True, "startsecs": 5,
                "retries": 3, "exitcodes": [0, 2], "restart": "RestartUnconditionally"}  # fmt: skip
    process: dict[str, Any] = {"group": "web", "name": "web", "command": "run", "environment": {}}
    process |= {"directory": None, "listener": False}
    path = tmp_path / "supervisord.conf"
    text = "[supervisord]\n[program:web]\ncommand=run\nautorestart=true\n"
    path.write_text(f"{text}startsecs=5\nexitcodes=0,2\n")
    monkeypatch.setattr(
        "supervisor.config.importers.supervisord.check.find_supervisord", lambda _path: program(tmp_path, "python3", "")
    )
    answered(monkeypatch, 0, {"version": "4.3.0", "directory": None, "processes": [process | {"settings": policies}]})
    (one,) = side_by_side([path], {})
    assert [row.differences for row in one.rows] == [()]
    assert {"startsecs", "exitcodes", "startretries", "restart", "stop signal"} <= one.compared
    path.write_text(f"{text}startretries=4\n")
    (other,) = side_by_side([path], {})
    assert [row.differences for row in other.rows] == [
        (
            "web:web: startsecs: 5 s in supervisord, 1 s here",
            "web:web: exitcodes: 0, 2 in supervisord, 0 here",
            "web:web: startretries: 3 in supervisord, 4 here",
        )
    ]
