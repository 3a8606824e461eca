"""`python -m supervisor.daemon`: what `supervisor run` and `supervisor up` become.

The configuration is compiled in a child process that goes away, with its memory, when the plan is there; the
daemon's own modules are imported meanwhile.
"""

from __future__ import annotations

import os
import subprocess
import sys


def compiler(path: str, stderr: int | None = None) -> subprocess.Popen[bytes]:
    """Begin to turn `path` into a plan; JSON will come on stdout, errors (and exit code 2) on stderr."""
    return subprocess.Popen(
        [sys.executable, "-m", "supervisor.config.compile", path],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
    )


def main(arguments: list[str]) -> int:
    """`-f FILE [--log-format human|json] [--services A,B]`; returns the exit code."""
    options = dict(zip(arguments[::2], arguments[1::2], strict=True))
    child = compiler(options["-f"])

    import json

    from supervisor.core.spec import Plan, from_plain
    from supervisor.errors import SupervisorError
    from supervisor.runtime import Runtime

    text, _ = child.communicate()
    if child.returncode != 0:
        return child.returncode if child.returncode > 0 else 1
    wanted = options.get("--services")
    try:
        plan = from_plain(Plan, json.loads(text))
        runtime = Runtime(plan, log_format=options.get("--log-format", "human"))
        return runtime.run(wanted.split(",") if wanted else None)
    except SupervisorError as error:
        os.write(2, f"supervisor: {error}\n".encode())
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
