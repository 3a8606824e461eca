"""`python -m supervisor.daemon`: what `supervisor run` and `supervisor up` become.

The configuration is compiled in a child process that goes away, with its memory, when the plan is there; the
daemon's own modules are imported meanwhile.
"""

from __future__ import annotations

import gc
import os
import sys

from supervisor.launch import compiler


def main(arguments: list[str]) -> int:
    """`-f FILE [--log-format human|json] [--services A,B] [--compiler PID:FD]`; returns the exit code.

    `--compiler`: the process before us has begun to compile FILE in its child PID, which writes to FD."""
    options = dict(zip(arguments[::2], arguments[1::2], strict=True))
    if "--compiler" in options:
        pid, fd = map(int, options["--compiler"].split(":"))
    else:
        child = compiler(options["-f"])
        assert child.stdout is not None
        pid, fd = child.pid, os.dup(child.stdout.fileno())
        child.returncode = 0  # waited for below

    import json

    from supervisor.core.spec import Plan, from_plain
    from supervisor.errors import SupervisorError
    from supervisor.runtime import Runtime

    with open(fd, "rb") as file:
        text = file.read()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code != 0:
        return code if code > 0 else 1
    wanted = options.get("--services")
    try:
        plan = from_plain(Plan, json.loads(text))
        runtime = Runtime(plan, log_format=options.get("--log-format", "human"))
        gc.freeze()  # what is there now stays; the collector need not look through it again and again
        return runtime.run(wanted.split(",") if wanted else None)
    except SupervisorError as error:
        os.write(2, f"supervisor: {error}\n".encode())
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
