"""What the commands read where no daemon answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.cli.daemon_target import DaemonTarget
from supervisor.cli.main import main
from supervisor.config.source import locate
from supervisor.errors import NoDaemon, NotListening

HINT = "`kill -CONT 7` lets it run again."


@pytest.mark.parametrize(("why", "hints"), [(NoDaemon("no answer", HINT), 1), (NotListening("none runs", "start"), 0)])
def test_a_daemon_that_runs_but_does_not_answer_is_named_with_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], why: NoDaemon, hints: int
) -> None:
    file = tmp_path / "services.toml"
    file.write_text(f'[supervisor]\nstate_dir = "{tmp_path}/state"\n[services.web]\ncommand = "true"\n')
    logs = tmp_path / "state" / "log"
    logs.mkdir(parents=True)
    target = DaemonTarget()
    target.name_file(str(file))
    assert target.offline_logs(why) == str(logs)
    told = capsys.readouterr().err
    assert told.splitlines() == [f"no daemon answers; reading {logs}", *[f"  {HINT}"] * hints]


def test_without_a_file_the_command_that_makes_one_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SUPERVISOR_SOCKET", raising=False)
    monkeypatch.setattr(locate, "SYSTEM_WIDE", tmp_path / "absent")
    assert main(["status"]) == 2
    assert "`supervisor init` writes a first one." in capsys.readouterr().err
    (tmp_path / "Procfile").touch()
    assert main(["status"]) == 2
    assert "`supervisor init --from Procfile` makes it of that file." in capsys.readouterr().err
    (tmp_path / "services.toml").write_bytes(b"\xff")
    assert main(["status"]) == 2
    assert "supervisor init" not in capsys.readouterr().err
