"""`python -m supervisor.config.compile FILE [--report] …`: prints the plan as JSON, or the errors with exit code 2.

The errors go to stderr, or with --report, as JSON, to stdout: with the directories in which the daemon of this file ran
last and the identity of its folder, because what runs there is taken up although the file cannot be used.  With
--report a plan may have services of which the host lacks something.

A member of a cluster runs the version of the configuration that was pushed last, which its state directory holds:
--own-file leaves that out, and --version NUMBER DIGEST PATH takes another one.

--profiles A,B: the profiles that the user gave; --active A,B: those of the plan in force, of which some may be gone
from the file.  By default they are those of the environment, else of a daemon that did not end in order.

The daemon runs this in a process of its own, so that the code and memory it needs do not stay in the daemon.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from supervisor.config.load import load
from supervisor.config.pushed import Kept, kept
from supervisor.config.source.locate import absolute, last_locations
from supervisor.config.source.project import folder_identity
from supervisor.core.model.plain import to_plain
from supervisor.errors import ConfigError

if TYPE_CHECKING:
    from supervisor.config.profiles import Wanted


def main(arguments: list[str]) -> int:
    """Print the plan of a file; 0, or the exit code of ConfigError."""
    gc.disable()  # the process ends before a collection would pay off
    path, report = arguments[0], "--report" in arguments[1:]
    code = 0
    try:
        answer = to_plain(
            load(
                path,
                tolerate_missing=report,
                note=lambda line: sys.stderr.write(f"supervisor: note: {line}\n"),
                pushed=_version(arguments),
                profiles=_profiles(arguments),
            )
        )
    except ConfigError as error:
        if not report:
            sys.stderr.write(f"{error}\n")
            return error.exit_code
        places = last_locations(path)
        answer = {
            "error": str(error),
            "runtime_dir": places.runtime_dir,
            "state_dir": places.state_dir,
            "folder": folder_identity(str(Path(absolute(path)).parent)),
        }
        code = error.exit_code
    try:
        sys.stdout.write(json.dumps(answer))
        sys.stdout.flush()
    except BrokenPipeError:  # the reader was killed: exit without a traceback
        os._exit(1)
    return code


def _profiles(arguments: list[str]) -> Wanted | Callable[[str], Wanted]:
    for option, given in (("--active", ""), ("--profiles", "--profile")):
        if option in arguments:
            from supervisor.config.profiles import Wanted, split

            return Wanted(split(arguments[arguments.index(option) + 1]), given)
    return _remembered


def _remembered(runtime_dir: str) -> Wanted:
    from supervisor.config.profiles import remembered

    return remembered(os.environ, runtime_dir)


def _version(arguments: list[str]) -> Callable[[str], Kept | None]:
    if "--own-file" in arguments:
        return lambda _: None
    if "--version" in arguments:
        at = arguments.index("--version") + 1
        version = Kept(int(arguments[at]), *arguments[at + 1 : at + 3])
        return lambda _: version
    return kept


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
