"""Which files node evaluates, what is said where it cannot, and the lines of what it gives."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from supervisor.config.importers.imported import ImportRefused
from supervisor.config.importers.pm2.file import LONGEST, evaluate_by_node, kind_of, read_file
from supervisor.config.importers.reading import Table


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ecosystem.json", "json"),
        ("ecosystem.config.js", "js"),
        ("pm2.config.cjs", "js"),
        ("a.config.mjs", "mjs"),
        ("apps.json.bak", "json"),
        ("ecosystem.js", ""),
        ("config.js", ""),
    ],
)
def test_the_kind_is_decided_by_the_name_as_pm2_does(name: str, kind: str) -> None:
    assert kind_of(name) == kind


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "node").touch(0o755)
    return {"PATH": str(tmp_path), "A": "b"}


def given(answer: Any, kinds: list[str]) -> Any:
    def evaluate(kind: str, path: Path, called_in: Path, environment: Mapping[str, str]) -> Any:
        kinds.append(kind)
        assert path.is_absolute() and environment["A"] == "b"
        return answer

    return evaluate


@pytest.mark.parametrize(
    ("name", "kind"), [("a.json", "json"), ("a.config.js", "js"), ("a.cjs", "js"), ("a.mjs", "mjs"), ("a.js", "js")]
)
def test_what_is_no_literal_is_evaluated(name: str, kind: str, tmp_path: Path, environment: dict[str, str]) -> None:
    kinds: list[str] = []
    assert read_file(tmp_path / name, "code()", tmp_path, environment, given({"value": [1]}, kinds)) == ([1], True)
    assert kinds == [kind]


def test_without_node_the_line_that_needs_it_is_named(tmp_path: Path) -> None:
    text = "module.exports = {\n  apps: apps(),\n}"
    with pytest.raises(
        ImportRefused, match=r"a\.config\.js:2: apps is not understood, so only node can tell"
    ) as raised:
        read_file(tmp_path / "a.config.js", text, tmp_path, {"PATH": ""}, given({}, []))
    assert raised.value.hint == "Install node, or write the file as a plain object without code."


def test_what_node_refuses_is_refused_with_its_line(tmp_path: Path, environment: dict[str, str]) -> None:
    answer = {"error": "Error, MODULE_NOT_FOUND", "line": 1}
    with pytest.raises(
        ImportRefused, match=r"a\.config\.js:1: the file throws in node: Error, MODULE_NOT_FOUND"
    ) as raised:
        read_file(tmp_path / "a.config.js", "require('dotenv')", tmp_path, environment, given(answer, []))
    assert raised.value.hint.endswith(f"`node {tmp_path}/a.config.js` prints it.")


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.config.js", "\nthrow new TypeError('hunter2')", "a.config.js:2: the file throws in node: TypeError"),
        ("a.config.js", "require('./hunter2')", "a.config.js:1: the file throws in node: Error, MODULE_NOT_FOUND"),
        ("a.config.js", "throw 'hunter2'", "a.config.js: the file throws in node: no error, but a value"),
        ("a.config.js", "class hunter2 extends Error {}; const e = new hunter2(); e.name = e.code = 'hunter2'; throw e",
         "a.config.js:1: the file throws in node: an error"),
        ("a.config.js", "module.exports = {env: `hunter2${}`", "a.config.js:1: the file throws in node: SyntaxError"),
        ("a.config.mjs", "import 'hunter2'", "the file throws in node: Error, ERR_MODULE_NOT_FOUND"),
        ("a.json", "{apps: [hunter2]}", "a.json:1: the file throws in node: ReferenceError"),
    ],
)  # fmt: skip
def test_what_a_file_throws_is_told_by_its_kind_and_line_alone(name: str, text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ImportRefused) as raised:
        read_file(tmp_path / name, text, tmp_path, os.environ, evaluate_by_node)
    assert told in raised.value.message
    assert "hunter2" not in raised.value.message + raised.value.hint


TEXT = """const env = {LOG: 'all'};
const name = 'one';
module.exports = {
  deploy: {},
  apps: [
    {
      script: 'a.js',
      name: 'first',
      env: {
        ...env,
        PORT: process.env.PORT,
      },
      watch: true,
    },
    {
      name: "second", watch,
      ...env,
      script: 'b.js',
    },
    make(),
  ],
};
"""


def test_what_node_gives_has_the_lines_on_which_names_and_keys_stand(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    apps: list[dict[str, Any]] = [
        {"script": "a.js", "name": "first", "env": {"LOG": "all", "PORT": 1}, "watch": True},
        {"name": "second", "watch": True, "LOG": "all", "script": "b.js"},
        {"name": "made", "script": "c.js"},
    ]
    for key in ("apps", "pm2"):
        answer = {"value": {"deploy": {}, key: apps}}
        found, _ = read_file(tmp_path / "a.config.js", TEXT, tmp_path, environment, given(answer, []))
        assert found.line_of("deploy") == 4
        first, second, third = found[key]
        assert (first.line, first.lines) == (8, {"script": 7, "name": 8, "env": 9, "watch": 13})
        assert isinstance(first["env"], Table) and first["env"].line_of("PORT") == 11
        assert (second.line, second.line_of("watch"), second.line_of("script")) == (16, 16, 18)
        assert (third.line, third.line_of("name")) == (0, 0)
    listed, _ = read_file(tmp_path / "a.config.js", TEXT, tmp_path, environment, given({"value": apps}, []))
    assert [app.line for app in listed] == [8, 16, 0]


def test_node_is_run_with_the_environment_of_the_caller_and_bounded_in_time(
    tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(command: list[str], **options: Any) -> None:
        assert command[0] == str(tmp_path / "node") and command[3:6] == ["--", "js", "/a.config.js"]
        assert (options["cwd"], options["env"], options["timeout"]) == (tmp_path, environment, LONGEST)
        Path(command[6]).write_text(json.dumps({"value": 1}))

    monkeypatch.setattr(subprocess, "run", run)
    assert evaluate_by_node("js", Path("/a.config.js"), tmp_path, environment) == {"value": 1}


def test_a_file_that_does_not_end_is_refused(
    tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(command: list[str], **options: Any) -> None:
        raise subprocess.TimeoutExpired(command, options["timeout"])

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(ImportRefused, match="has not evaluated it within 20 s"):
        evaluate_by_node("js", Path("/a.config.js"), tmp_path, environment)


@pytest.mark.parametrize("result", [None, "", "{"])
def test_a_file_that_ends_node_is_refused(
    result: str | None, tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(command: list[str], **options: Any) -> None:
        if result is not None:
            Path(command[6]).write_text(result)

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(ImportRefused, match="ended without a result"):
        evaluate_by_node("js", Path("/a.config.js"), tmp_path, environment)
