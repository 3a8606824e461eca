"""What becomes of a command whose output cannot be written, or not in every character."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor.cli.main import main
from tests.doubles import fake_client
from tests.doubles.fake_daemon import serve

COMMAND = [sys.executable, "-m", "supervisor"]
ORDERS = ["start", "stop redis", "start --no-wait", "restart redis", "reset", "signal redis", "reload", "up -d", "down"]
QUESTIONS = ["status", "status --json", "logs", "events", "why redis", "report", "--help", "logs --help", "check"]


@pytest.fixture
def path(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "services.toml").write_text('[services.a]\ncommand = "true"\n')
    path = f"{tmp_path}/control.sock"
    rows = [fake_client.view("redis"), fake_client.view("web")]
    with serve(path, rows, events=fake_client.events(), lines={"redis": [(1000.0, "naïve – “quoted” ✓")]}):
        yield path


def run(path: str, arguments: str, **options: Any) -> subprocess.CompletedProcess[Any]:
    environment = {k: v for k, v in os.environ.items() if k != "NO_COLOR"} | {"SUPERVISOR_SOCKET": path}
    more = options.pop("env", {})
    return subprocess.run(
        [*COMMAND, *arguments.split()],
        env=environment | more,
        cwd=Path(path).parent,
        check=False,
        timeout=60,
        **({"stdin": subprocess.DEVNULL, "stderr": subprocess.PIPE} | options),
    )


@pytest.mark.parametrize("arguments", [*QUESTIONS, *ORDERS])
def test_a_full_disk_is_one_line_and_stops_no_order(path: str, arguments: str) -> None:
    with open("/dev/full", "w") as full:
        result = run(path, arguments, stdout=full, text=True)
    last = result.stderr.splitlines()[-1]
    told = "the output cannot be written: No space left on device; the command itself was carried out"
    assert (result.returncode, last) == (1, f"supervisor: {told}")
    assert "Traceback" not in result.stderr and "Exception" not in result.stderr


def test_an_error_comes_after_the_progress_that_led_to_it(tmp_path: Path) -> None:
    path = f"{tmp_path}/control.sock"
    with serve(path, [fake_client.view("redis")], broken=["redis"]):
        result = run(path, "start redis", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    told = result.stdout.splitlines()
    assert result.returncode == 1 and told[0].startswith("redis  "), told
    assert told.index("supervisor: start failed for 1 of 1:") == len(told) - 3, told


def test_an_error_of_its_own_is_told_first(path: str) -> None:
    with open("/dev/full", "w") as full:
        assert run(path, "status other", stdout=full, text=True).returncode == 4


def test_what_only_follows_ends_when_its_output_is_lost() -> None:
    code = "from supervisor.cli.output import prepare; prepare()\nwhile True: print('x', flush=True)"
    with open("/dev/full", "w") as full:
        result = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, check=False)
    assert b"No space left on device" in result.stderr


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "utf-8"])
@pytest.mark.parametrize("arguments", QUESTIONS)
def test_any_encoding_takes_every_answer(path: str, arguments: str, encoding: str) -> None:
    result = run(path, arguments, stdout=subprocess.PIPE, env={"PYTHONIOENCODING": encoding})
    assert result.returncode in (0, 3) and b"Traceback" not in result.stderr
    if encoding == "latin-1":
        assert result.stdout.decode("latin-1") and b"\xe2\x80" not in result.stdout
        if arguments == "logs":
            assert result.stdout == b"redis | na\xefve - ?quoted? ?\n"


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams(path: str, closed: str) -> None:
    for arguments in ("status", "status --json", "report", "restart redis"):
        command = f"exec {' '.join(COMMAND)} {arguments} {closed}"
        environment = os.environ | {"SUPERVISOR_SOCKET": path}
        result = subprocess.run(["sh", "-c", command], env=environment, capture_output=True, check=False, timeout=60)
        assert (result.returncode, result.stderr) == (0, b"")


def test_a_dumb_terminal_is_not_painted(path: str) -> None:
    main_end, terminal = pty.openpty()
    for arguments in ("status", "events", "logs", "report", "up -d", "status nope"):
        run(path, arguments, stdout=terminal, stderr=terminal, env={"TERM": "dumb"})
        assert b"\x1b" not in os.read(main_end, 1 << 16)
    os.close(terminal)
    os.close(main_end)


def test_an_interrupted_command(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("supervisor.cli.main._run", interrupted)
    assert main(["status"]) == 128 + signal.SIGINT
