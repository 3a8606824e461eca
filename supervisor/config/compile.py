"""`python -m supervisor.config.compile FILE`: prints the plan as JSON, or the errors on stderr with exit code 2.

The daemon runs this in a process of its own, so that the code and memory it needs do not stay in the daemon.
"""

from __future__ import annotations

import gc
import json
import os
import sys

from supervisor.config.load import load
from supervisor.core.model.plain import to_plain
from supervisor.errors import ConfigError


def main(arguments: list[str]) -> int:
    """Print the plan of a file; 0, or the exit code of ConfigError."""
    gc.disable()  # the process ends before a collection would pay off
    try:
        plan = load(arguments[0], note=lambda line: sys.stderr.write(f"supervisor: note: {line}\n"))
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    try:
        sys.stdout.write(json.dumps(to_plain(plan)))
        sys.stdout.flush()
    except BrokenPipeError:  # the reader was killed: exit without a traceback
        os._exit(1)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
