"""What `demo` refuses, and what it lays out.  tests/e2e/faces/test_demo.py runs it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from supervisor.cli.main import main
from supervisor.config.load import load
from supervisor.demo import project


def test_its_folder_is_its_own_and_is_removed(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    tmp_path = tmp_path_factory.mktemp("d")  # a socket's path must be short
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with project.laid_out() as one, project.laid_out() as other:
        plans = [load(made.file, {}) for made in (one, other)]
        assert one.page != other.page
        for made, plan in zip((one, other), plans, strict=True):
            assert f"demo-{plan.supervisor.name.removeprefix('demo-')}" in str(made.file)
            assert (
                Path(plan.supervisor.runtime_dir).parent == Path(plan.supervisor.state_dir).parent == made.file.parent
            )
            assert plan.supervisor.web
        commands = [service.command for plan in plans for service in plan.services if service.name == "web"]
        assert commands[0] != commands[1], "their ports"
        programs = {service.command[0] for plan in plans for service in plan.services}
        assert programs == {sys.executable}, "also without the variable PYTHON of the daemon that was killed"
    assert not list(tmp_path.iterdir())


def test_it_says_what_keeps_it_from_being_laid_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(project, "PORTS", range(18080, 18081))
    assert main(["demo"]) == 1
    assert "the example cannot be laid out: each port from 18080 to 18080 is taken" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    assert main(["demo"]) == 1
    assert "TMPDIR names the directory" in capsys.readouterr().err


def test_a_time_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for wrong in ("soon", "0s"):
        assert main(["demo", "--for", wrong]) == 2
        assert wrong in capsys.readouterr().err


def test_no_other_command_imports_it() -> None:
    code = "import sys; from supervisor.cli.main import main; main(['completion', 'bash']); main(['--version'])"
    command = [sys.executable, "-c", f"{code}; print('supervisor.demo' in sys.modules)"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.endswith("False\n")
