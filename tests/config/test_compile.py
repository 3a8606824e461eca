from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from supervisor.config.load import load
from supervisor.core.model.plain import from_plain
from supervisor.core.model.spec import Plan


def compiler(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "supervisor.config.compile", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_plan_comes_out_as_json(tmp_path: Path) -> None:
    file = tmp_path / "services.toml"
    file.write_text('[services.a]\ncommand = "sleep 1"\n[services.a.ready]\nlog = "é"')
    done = compiler(file)
    assert (done.returncode, done.stderr) == (0, "")
    assert from_plain(Plan, json.loads(done.stdout)) == load(file)


def test_what_is_wrong_goes_to_stderr(tmp_path: Path) -> None:
    file = tmp_path / "services.toml"
    file.write_text('[services.a]\ncommand = "sleep 1"\nnice = 99')
    done = compiler(file)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"{file}:3: services.a.nice: 99 is not from -20 to 19\n"


def test_the_classes_of_pydantic_are_not_loaded() -> None:
    heavy = "{'pydantic', 'difflib', 'supervisor.config.source.lines'}"
    code = f"import sys, supervisor.config.compile; print({heavy} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"
