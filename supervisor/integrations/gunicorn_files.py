"""Prints when each gunicorn worker last beat, by its beat file: gunicorn need not be changed.

    [services.app.heartbeat]
    source = "exec"
    scope = "process"
    exec = ["python3", "-m", "supervisor.integrations.gunicorn_files"]

Each worker of gunicorn touches a file that has no name any more; this program finds it among the open files of the
children of MAINPID, and prints `PID AGE LIMIT` for each.  A file that its worker has not touched yet is as old as the
process, so that a worker that hangs while it loads the application is found.  `--longest SECONDS` (30) is the limit:
how long a request may take.  It is more than half of gunicorn's own `timeout`, because an idle worker touches its file
so often.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress

_NAME = "/wgunicorn-"


def ages(main: int) -> Iterator[tuple[int, float]]:
    """Each worker's pid, and the seconds since its last beat."""
    for pid in _children(main):
        try:
            touched = max((os.stat(file).st_mtime for file in _beat_files(pid)), default=None)  # noqa: PTH116
            if touched is None:
                continue
            age = time.monotonic() - touched
            # It sets the file's time to CLOCK_MONOTONIC; before that it is the time of day at which it was made.
            yield pid, age if age >= 0 else _since_start(pid)
        except OSError:
            continue  # it has just ended


def _children(main: int) -> list[int]:
    found: list[int] = []
    for task in os.listdir(f"/proc/{main}/task"):  # noqa: PTH208
        with suppress(FileNotFoundError, ProcessLookupError):  # the thread has just ended
            with open(f"/proc/{main}/task/{task}/children") as file:
                found += map(int, file.read().split())
    return found


def _beat_files(pid: int) -> Iterator[str]:
    directory = f"/proc/{pid}/fd"
    for number in os.listdir(directory):  # noqa: PTH208
        file = f"{directory}/{number}"
        with suppress(FileNotFoundError):  # it has just closed that one
            if _NAME in os.readlink(file):  # noqa: PTH115
                yield file


def _since_start(pid: int) -> float:
    with open(f"/proc/{pid}/stat") as file:
        ticks = int(file.read().rpartition(")")[2].split()[19])
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK"))


def main(arguments: list[str], environ: os._Environ[str] | dict[str, str] = os.environ) -> str | None:
    """Print the lines; what is wrong is returned."""
    longest = "30"
    if arguments[:1] == ["--longest"] and len(arguments) == 2:
        longest, arguments = arguments[1], []
    if arguments:
        return "usage: gunicorn_files [--longest SECONDS]"
    try:
        for pid, age in ages(int(environ["MAINPID"])):
            print(f"{pid} {age:.3f} {longest}")  # noqa: T201
    except (KeyError, ValueError):
        return "MAINPID is not the number of gunicorn's main process"
    except OSError as error:
        return f"gunicorn's workers cannot be seen: {error}"
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
