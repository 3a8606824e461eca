"""The entry point of `supervisor` and `python -m supervisor`."""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Run one command; returns the exit code."""
    _open_standard_descriptors()
    if sys.argv[1:2] == ["run"]:
        from supervisor.launch import become_daemon, plain_run

        run = plain_run(sys.argv[1:])
        if run is not None:
            become_daemon(*run)
    from supervisor.cli.main import main as command_line

    code = command_line()
    if "click" not in sys.modules:  # nothing is left to do, and taking modules apart takes a fifth of the time
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def _open_standard_descriptors() -> None:
    """Open those that a parent left closed: a socket or a pipe would get their numbers."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.dup2(os.open(os.devnull, os.O_RDWR), number)  # the lowest free number is this one
            os.set_inheritable(number, True)


if __name__ == "__main__":
    sys.exit(main())
