"""The command `supervisor`: runs one command and turns errors into a message and an exit code."""

from __future__ import annotations

import sys
from contextlib import suppress

from supervisor.cli.daemon_target import DaemonTarget, on_terminal
from supervisor.cli.output import Output, discard, prepare
from supervisor.errors import SupervisorError

INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code.  Errors are printed on stderr."""
    arguments = sys.argv[1:] if arguments is None else arguments
    target, output = DaemonTarget(), prepare()
    try:
        code = _run(arguments, target)
        sys.stdout.flush()
        return _told(code, output)
    except SupervisorError as error:
        with suppress(OSError):
            sys.stdout.flush()  # where both lead to one file, the error comes last
        red, plain = ("\x1b[1;31m", "\x1b[0m") if _paints_errors(target) else ("", "")
        sys.stderr.write(f"{red}supervisor:{plain} {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        discard()
        return 1  # as click has it
    except OSError as error:
        if output is None or output.lost is None:
            raise
        discard()
        return _told(1, output, error)


def _told(code: int, output: Output | None, ended: OSError | None = None) -> int:
    """The exit code, after a word on output that was lost; `ended`: the command did not go on without it."""
    if output is None or output.lost is None:
        return code
    rest = "" if ended is not None else "; the command itself was carried out"
    sys.stderr.write(f"supervisor: the output cannot be written: {output.lost.strerror}{rest}\n")
    return code or 1


def _run(arguments: list[str], target: DaemonTarget) -> int:
    from supervisor.cli import fast_path as quick

    asked = quick.understood(arguments, target)
    if asked is not None:
        return asked()
    import click

    from supervisor.cli.commands import cli
    from supervisor.launch import let_children_be_awaited

    let_children_be_awaited()

    try:
        code = cli.main(args=arguments, prog_name="supervisor", standalone_mode=False, obj=target)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return INTERRUPTED
    return code if isinstance(code, int) else 0


def _paints_errors(target: DaemonTarget) -> bool:
    return on_terminal(sys.stderr) if target.color is None else target.color
