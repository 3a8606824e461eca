"""`python -m supervisor.config.compile FILE`: the plan as JSON on stdout, or what is wrong on stderr and exit 2.

The daemon runs this in a process of its own, so that nothing of it stays in the daemon.
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
    """0, or 2 for a configuration that cannot be used."""
    gc.disable()  # nothing that is made here is worth collecting
    try:
        plan = load(arguments[0])
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    try:
        sys.stdout.write(json.dumps(to_plain(plan)))
        sys.stdout.flush()
    except BrokenPipeError:  # who asked was killed meanwhile: nobody is to be troubled with it
        os._exit(1)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
