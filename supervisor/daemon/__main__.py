"""`python -m supervisor.daemon`: the daemon, which `supervisor run` and `supervisor up` execute.

The configuration is compiled in a child process, so that the memory for that is freed when it ends.  The daemon imports
its own modules in the meantime, and keeps the sources of those that it may import later.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from supervisor.daemon.late_module import import_late

import_late()  # before the first import of dataclasses
from dataclasses import replace  # noqa: E402

from supervisor import own_sources  # noqa: E402
from supervisor.launch import compiler  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

    from supervisor.core.model.spec import Plan

CONFIGURATION_REFUSED = 2
"""The compiler's exit code with a report of errors instead of a plan."""
PROFILES = ("--profiles", "--active")
"""Options that are passed on to the compiler."""


def main(arguments: list[str]) -> int:
    """`-f FILE [--log-format human|json] [--services A,B] [--profiles A,B] [--active A,B] [--compiler PID:FD]
    [--rehearse yes] [--upgraded-from VERSION]`, or `--end DIRECTORY`; returns the exit code.

    `--compiler`: the command that executed this one has begun to compile FILE in its child PID, which writes to FD.
    `--rehearse`: only check that this version could take over from the running daemon.  `--end`: stop what an earlier
    daemon with this runtime directory left, by the plan that it had in force."""
    options = dict(zip(arguments[::2], arguments[1::2], strict=True))
    if "--upgraded-from" in options:
        return _take_over(options)
    from supervisor.errors import ConfigError, OperationFailed, SupervisorError

    try:
        if "--end" in options:
            return _end(options["--end"])
        code, text = _compiled(options)
        refused = json.loads(text) if code == CONFIGURATION_REFUSED and text else None
        if code != 0 and refused is None:
            return code if code > 0 else 1
        if "--rehearse" in options:
            from supervisor.daemon.rehearsal import rehearse

            if refused is not None:
                raise ConfigError(refused["error"])
            sys.stdout.write(json.dumps(rehearse(_plan(text))))
            return 0
        if refused is None:
            plan = _plan(text)
            text = b""  # it would be kept as long as the daemon runs
            return _run(plan, options, {})
        from supervisor.daemon.refused_start import plan_left

        return _run(plan_left(refused, options["-f"]), options, {}, refused=refused["error"])
    except ConfigError as error:
        os.write(2, f"{error}\n".encode(errors="replace"))
        return error.exit_code
    except SupervisorError as error:
        os.write(2, f"supervisor: {error}\n".encode(errors="replace"))
        return error.exit_code
    except OSError as error:  # of the directories, the sockets or the host
        os.write(2, f"supervisor: the daemon cannot start: {_words(error)}\n".encode(errors="replace"))
        return OperationFailed.exit_code


def _words(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}"


def _end(runtime_dir: str) -> int:
    from supervisor.daemon.previous_run import RuntimeFiles
    from supervisor.daemon.runtime import Runtime
    from supervisor.errors import OperationFailed

    plan = RuntimeFiles(runtime_dir).read_plan()
    if plan is None:
        raise OperationFailed(f"the plan in {runtime_dir} cannot be read", "`supervisor up`, then `supervisor down`.")
    return Runtime(plan).run((), end=True)


def _compiled(options: dict[str, str]) -> tuple[int, bytes]:
    """The compiler's exit code and the plan as JSON.  The daemon's modules are imported while it works."""
    if "--compiler" in options:
        pid, fd = map(int, options["--compiler"].split(":"))
    else:
        child = compiler(options["-f"], [word for key in PROFILES if key in options for word in (key, options[key])])
        assert child.stdout is not None
        pid, fd = child.pid, os.dup(child.stdout.fileno())
        child.returncode = 0  # waited for below
    import supervisor.daemon.runtime  # noqa: F401

    own_sources.keep()
    with open(fd, "rb") as file:
        text = file.read()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), text


def _plan(text: bytes) -> Plan:
    from supervisor.core.model.plan_text import plan_from_json

    return plan_from_json(text.decode())


def _run(plan: Plan, options: dict[str, str], descriptors: dict[str, int], **more: Any) -> int:
    from supervisor.adapters.eventloop.fd_passing import inherited
    from supervisor.daemon.runtime import Runtime

    wanted = options.get("--services")
    descriptors = descriptors or inherited(os.environ)
    if "recovered" not in more and "guard" in descriptors:
        more["recovered"] = _upgrade_is_over(descriptors.pop("guard"))
    runtime = Runtime(plan, log_format=options.get("--log-format", "human"), descriptors=descriptors, **more)
    gc.freeze()  # these objects live as long as the daemon; the collector need not traverse them
    return runtime.run(wanted.split(",") if wanted else None)


def _upgrade_is_over(guard: int) -> Callable[[], None]:
    """The report of a version that runs again after a failed upgrade: when it has recovered, the guard may end."""
    from supervisor.daemon.upgrade_guard import GUARD, TAKEN_OVER, report

    def recovered() -> None:
        report({GUARD: guard}, TAKEN_OVER)
        os.close(guard)

    return recovered


def _take_over(options: dict[str, str]) -> int:
    """Take over from the version that this process ran until now; execute that again where it fails."""
    from supervisor.adapters.eventloop.fd_passing import HANDOVER, handover, inherited
    from supervisor.daemon.previous_run import RuntimeFiles
    from supervisor.daemon.upgrade_guard import STARTED, TAKEN_OVER, report

    descriptors = inherited(os.environ)
    report(descriptors, STARTED)
    with open(descriptors.pop("will"), "rb") as file:
        file.seek(0)
        will = json.load(file)
    kept = {name: os.dup(fd) for name, fd in descriptors.items()}
    taken_over = False

    def recovered() -> None:
        nonlocal taken_over
        taken_over = True
        report(kept, TAKEN_OVER)
        for fd in kept.values():
            os.close(fd)

    try:
        import supervisor.daemon.runtime  # noqa: F401
        from supervisor.core.model.spec import written_lines

        own_sources.keep()
        plan = _plan(json.dumps(will["plan"]).encode())
        plan = replace(plan, written=written_lines(will.get("written", {})))
        known = RuntimeFiles(plan.supervisor.runtime_dir).read_plan()
        if known is not None and known.path == plan.path:
            plan = replace(plan, folder=known.folder)
        return _run(
            plan,
            options,
            descriptors,
            upgraded_from=options["--upgraded-from"],
            upgraded_by=will.get("by") or {},
            lacking=will.get("lacking") or (),
            recovered=recovered,
        )
    except Exception as error:
        if taken_over:
            raise
        os.write(2, f"supervisor: this version cannot take over, the previous one keeps running: {error!r}\n".encode())
        command = will["previous"]
        os.execve(command[0], command, will["environment"] | {HANDOVER: handover(kept)})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
