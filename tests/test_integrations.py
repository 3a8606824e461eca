"""The programs that ask a server for its workers: what they print, and what they say where that cannot be had."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from supervisor.integrations import gunicorn_files, php_fpm


def child(**fields: Any) -> dict[str, Any]:
    return {"pid": 7, "state": "Idle", "request duration": 2_500_000, "request uri": "/shop"} | fields


@pytest.mark.parametrize(
    ("found", "line"),
    [
        (child(), "7 0"),
        (child(state="Reading headers"), "7 0"),
        (child(state="Running"), "7 2.500 60 /shop"),
        (child(state="Finishing", **{"request uri": None}), "7 2.500 60 Finishing"),
    ],
)
def test_a_child_of_php_fpm(found: dict[str, Any], line: str) -> None:
    assert list(php_fpm.lines({"processes": [found]}, "60")) == [line]


@pytest.mark.parametrize("arguments", [[], ["/sock"], ["/sock", "/status", "more"], ["/sock", "/status", "--longest"]])
def test_the_usage_of_php_fpm(arguments: list[str]) -> None:
    assert str(php_fpm.main(arguments)).startswith("usage: php_fpm ADDRESS PATH")


def test_a_status_page_that_is_not_there(tmp_path: Path) -> None:
    assert "No such file" in str(php_fpm.main([f"{tmp_path}/sock", "/status"]))
    assert "invalid literal" in str(php_fpm.main(["localhost", "/status"]))


def test_a_page_that_is_no_status_page(tmp_path: Path) -> None:
    """php-fpm answers so where `pm.status_path` is another one."""
    path = f"{tmp_path}/sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def answer() -> None:
            client, _ = listener.accept()
            with client:
                client.recv(65536)
                output = b"Status: 404 Not Found\r\n\r\nFile not found.\n"
                client.sendall(bytes([1, 6, 0, 1, 0, len(output), 0, 0]) + output + bytes([1, 3, 0, 1, 0, 0, 0, 0]))

        server = threading.Thread(target=answer)
        server.start()
        error = php_fpm.main([path, "/status"])
        server.join()
    assert error == f"{path}: /status is not the status page: Status: 404 Not Found File not found."


def test_the_age_of_a_beat_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that has touched it, one that has not yet, and a process that is no worker.  Each of them closes a file,
    and a thread of the main process ends, just when they are looked at."""
    listed = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: ["999999999", *listed(path)])
    beat = tmp_path / "wgunicorn-abc"
    now = time.monotonic()
    workers: list[subprocess.Popen[bytes]] = []
    for touched in (now - 12.0, time.time(), None):
        with open(beat if touched is not None else tmp_path / "other", "wb") as file:
            if touched is not None:
                os.utime(file.fileno(), (touched, touched))
            workers.append(subprocess.Popen(["sleep", "1000"], pass_fds=[file.fileno()]))
        (beat if touched is not None else tmp_path / "other").unlink()
    try:
        assert gunicorn_files.main(["--longest", "60"], {"MAINPID": str(os.getpid())}) is None
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [(int(pid), limit) for pid, _, limit in lines] == [(worker.pid, "60") for worker in workers[:2]]
    ages = [float(age) for _, age, _ in lines]
    passed = time.monotonic() - now
    assert 12.0 <= ages[0] <= 12.0 + passed + 0.001
    assert 0.0 <= ages[1] <= passed + 1.0 / os.sysconf("SC_CLK_TCK") + 0.001


@pytest.mark.parametrize(
    ("arguments", "environment", "error"),
    [
        (["more"], {"MAINPID": "1"}, "usage: gunicorn_files [--longest SECONDS]"),
        ([], {}, "MAINPID is not the number of gunicorn's main process"),
        ([], {"MAINPID": "0"}, "gunicorn's workers cannot be seen"),
    ],
)
def test_workers_that_cannot_be_asked(arguments: list[str], environment: dict[str, str], error: str) -> None:
    assert str(gunicorn_files.main(arguments, environment)).startswith(error)


@pytest.mark.parametrize("module", ["php_fpm", "gunicorn_files"])
def test_it_is_a_program_with_an_exit_code(module: str) -> None:
    command = [sys.executable, "-m", f"supervisor.integrations.{module}", "--help"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith("usage: ")
