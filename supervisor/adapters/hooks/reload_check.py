"""Runs the `reload_check` of a service in a child process: whether the service could read its configuration now."""

from __future__ import annotations

from collections.abc import Callable

from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.probes.monitors import probe_environment
from supervisor.adapters.probes.prober import error_text
from supervisor.adapters.processes.child_command import ChildCommand, CommandResult, Credentials
from supervisor.adapters.processes.command_trees import CommandTree
from supervisor.core.model.spec import ServiceSpec

LINES, LONGEST_LINE = 10, 300
"""How many of the last lines of the output are reported, and how many characters of each."""

Answer = Callable[[str, tuple[str, ...]], None]
"""`done(why, output)`: why the check has not passed, empty where it has passed; the last lines of its output."""


def run_check(
    loop: EventLoop,
    spec: ServiceSpec,
    instance: str,
    tree: Callable[[str], CommandTree],
    main: int | None,
    timeout: float,
    done: Answer,
) -> None:
    """Run it as a probe of the instance would run: its user, directory and environment, with MAINPID.  `spec`: that of
    the instance.  `tree`: gives the process tree, which ends with the check.  `timeout`: seconds."""
    command = spec.reload_check
    assert command
    environment = probe_environment(spec, instance)

    def ended(result: CommandResult) -> None:
        why = ""
        if result.timed_out:
            why = f"not done within {timeout:.0f} s, killed"
        elif result.exit_code != 0:
            why = result.ending
        done(why, _last_lines(result.output))

    try:
        ChildCommand(
            loop,
            command,
            ended,
            timeout=timeout,
            directory=spec.directory,
            environment=environment if main is None else {**environment, "MAINPID": str(main)},
            identity=Credentials(spec.user, spec.group, spec.extra_groups),
            tree=tree(instance),
        )
    except OSError as error:
        done(f"{command[0]}: {error_text(error)}", ())


def _last_lines(output: bytes) -> tuple[str, ...]:
    lines = output.decode(errors="replace").split("\n")
    texts = ("".join(c for c in line.expandtabs() if c.isprintable()).rstrip()[:LONGEST_LINE] for line in lines)
    return tuple(text for text in texts if text)[-LINES:]
