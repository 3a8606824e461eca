"""The entry point of `supervisor` and `python -m supervisor`."""

from __future__ import annotations

import sys

from supervisor.launch import become_daemon, open_standard_descriptors, plain_run


def main() -> int:
    """Run one command; returns the exit code."""
    open_standard_descriptors()
    run = plain_run(sys.argv[1:])
    if run is not None:
        become_daemon(*run)
    from supervisor.cli.main import main as command_line

    return command_line()


if __name__ == "__main__":
    sys.exit(main())
