"""`init`: writes an example services.toml, or one from the files of another process manager."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from supervisor.cli.daemon_target import DaemonTarget
from supervisor.errors import ConfigError, OperationFailed, UsageError

if TYPE_CHECKING:
    from supervisor.config.importers.imported import Imported

STARTER = """\
# Services to supervise.  `supervisor check` validates this file, `supervisor up` runs it.
# Durations have a unit (ms s m h d), sizes too (KiB MiB GiB).

[services.hello]
command = ["sh", "-c", "while :; do echo hello; sleep 5; done"]   # a list of words, run without a shell
# directory = "app"                       # working directory; default: the folder of this file
# environment = { PORT = "${PORT:-8000}" }
# depends_on = ["redis"]                  # started when redis is ready, stopped before it
# replicas = 2                            # instances hello@1 and hello@2

# [services.hello.ready]                  # without this, ready as soon as it runs
# http = "http://127.0.0.1:8000/healthz"  # or: notify = true, tcp, exec, log, delay

# [services.hello.heartbeat]              # detect a hang, not only an exit
# source = "http"                         # or: notify, tcp, exec, file, log, activity
# http = "http://127.0.0.1:8000/healthz"
# interval = "1s"

[services.hello.restart]
policy = "on-failure"                     # always, on-failure or never
initial = "100ms"                         # the first delay; it doubles
maximum = "30s"
max_restarts = 5                          # the breaker opens after more than this within the window
window = "60s"
"""


_COMMAND = f"{__name__}.command"


class _WithCommand(click.Command):
    """What follows `--` is the command of a service; click itself would take it for more files."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" in args:
            at = args.index("--")
            ctx.meta[_COMMAND] = args[at + 1 :]
            args = args[:at]
        return super().parse_args(ctx, args)


@click.command(cls=_WithCommand)
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
@click.option(
    "--from", "first", metavar="FILE", help="Take services over from FILE, and from the files named after it."
)
@click.option("-o", "--output", metavar="PATH", help="With --from: where to write; - is stdout.  [services.toml]")
@click.option(
    "--format",
    "tool",
    metavar="TOOL",
    help="With --from: the tool that the files are from.  [recognized by name or content]",
)
@click.option(
    "--env", metavar="NAME", help="With an ecosystem file of PM2: let env_NAME count, as `pm2 start --env NAME`."
)
@click.option(
    "--json", "as_json", is_flag=True, help="With --from: print what was taken over, and the losses, as JSON."
)
@click.option(
    "--check", is_flag=True, help="With --from: compare with how the installed tool reads the files; write nothing."
)
@click.argument("paths", nargs=-1, metavar="[FILE…] [-- COMMAND…]")
def init(
    force: bool,
    first: str | None,
    output: str | None,
    tool: str | None,
    env: str | None,
    as_json: bool,
    check: bool,
    paths: tuple[str, ...],
) -> None:
    """Write services.toml: an example, or from another manager.

    The example runs as it is.  With -- COMMAND, the file has one service, which runs that command.  --from reads a
    Procfile, a supervisord.conf, a circus.ini, PM2's ecosystem file, systemd units or a compose file as their own tools
    do.  What is not taken over as it stands is listed, and noted in the file beside its service.

    --check starts nothing.  Its exit code is 0 where both understand the files alike, 1 where something differs, and 2
    where they cannot be compared, for example because the tool is not installed.

    \b
    Examples:
      supervisor init --from Procfile
      supervisor init -- php-fpm8.2      with what is known of PHP-FPM (docs/programs.md)"""
    context = click.get_current_context()
    command: list[str] | None = context.meta.get(_COMMAND)
    usual = context.ensure_object(DaemonTarget).given_file or "services.toml"  # `supervisor -f FILE init`
    if command is not None:
        with_from = (first, output, tool, env)
        if any(given is not None for given in with_from) or as_json or check or len(paths) > 1:
            raise UsageError("a command goes with --force and the path of the new file only")
        _for_command(paths[0] if paths else usual, command, force)
        return
    if first is not None and check:
        _compare([Path(first), *map(Path, paths)], tool, env)
        return
    if first is not None:
        _take_over([Path(first), *map(Path, paths)], output or usual, tool, env, force, as_json)
        return
    if output is not None or tool is not None or env is not None or as_json or check:
        raise UsageError("--output, --format, --env, --json and --check go with --from")
    if len(paths) > 1 or (paths and _is_program(paths[0])):
        raise UsageError(
            "a command stands after --, and several files go with --from",
            f"For a service that runs it: supervisor init -- {shlex.join(paths)}",
        )
    path = paths[0] if paths else usual
    _write(path, STARTER, force, 0o666)
    click.echo(f"{path} written; `{_with(path)} check` explains it, `{_with(path)} up` runs it")


def _with(path: str) -> str:
    """What is typed before a command that is to use this file."""
    return "supervisor" if path == "services.toml" else shlex.join(["supervisor", "-f", path])


def _is_program(word: str) -> bool:
    """Whether this is the name of a program on the PATH, so that `--` was forgotten before it."""
    from shutil import which

    return "/" not in word and not word.endswith(".toml") and which(word) is not None


def _for_command(path: str, command: Sequence[str], force: bool) -> None:
    """Write a file with one service: the command, and what its program is known to need."""
    from supervisor.config.importers.services_toml import service_toml
    from supervisor.programs.suggestion import suggestion

    if not command:
        raise UsageError("after -- there is no command", "For example: supervisor init -- python app.py")
    known = suggestion(command)
    table: dict[str, object] = {"command": known.command, **known.keys}
    if Path.cwd() != Path(path).absolute().parent:
        table["directory"] = str(Path.cwd())
    add = shlex.join(
        ["supervisor", "add", *(() if path == "services.toml" else ("-f", path)), known.name, "--", *command]
    )
    _write(path, service_toml(known.name, table), force, 0o666, add)
    for reason in known.reasons:
        click.echo(f"  {reason}")
    if problems := _problems(path):
        raise OperationFailed(f"{path} is written, but `{_with(path)} check` refuses it", "\n".join(problems))
    ours = _with(path)
    click.echo(f"{path} written with the service {known.name}; `{ours} check` explains it, `{ours} up` runs it")


def _take_over(
    sources: Sequence[Path], output: str, tool: str | None, env: str | None, force: bool, as_json: bool
) -> None:
    from supervisor.config.importers.formats import TOOLS, beside, read_files
    from supervisor.config.importers.known_programs import add_reload_checks
    from supervisor.config.importers.services_toml import services_toml

    _refuse_unknown(tool, TOOLS)
    try:
        imported = read_files(sources, os.environ, tool, env)
        mode = _least_mode([*sources, *imported.files])
    except OSError as error:
        raise _unreadable(error, sources) from None
    _refuse_a_source(output, [*sources, *imported.files])
    if not imported.services:
        lines = "\n".join(str(loss) for loss in imported.losses)
        raise OperationFailed(f"no service in {', '.join(map(str, sources))}", lines)
    folder = Path.cwd() if output == "-" else Path(output).absolute().parent
    beside(imported, folder)
    add_reload_checks(imported)
    text = services_toml(imported, shlex.join(["supervisor", "init", "--from", *map(str, sources)]))
    if output == "-":
        click.echo(text, nl=False)
        _tell(imported, "", [], err=True)
        return
    _write(output, text, force, mode)
    problems = _problems(output)
    if as_json:
        from json import dumps

        click.echo(dumps(_document(imported, output, problems), indent=2, ensure_ascii=False))
    else:
        _tell(imported, output, problems)
    if problems:
        raise OperationFailed(
            f"{output} is written, but `{_with(output)} check` refuses it", f"Mend it, then: {_with(output)} check"
        )


def _unreadable(error: OSError, sources: Sequence[Path]) -> UsageError:
    """Why a file cannot be read, under the name that was given for it."""
    given = {str(source.absolute()): source for source in sources}
    name = Path(error.filename) if error.filename else sources[0]
    missing = isinstance(error, FileNotFoundError) and name.suffix in (".service", ".socket", ".timer")
    hint = f"Name the file of the unit with its folder: /etc/systemd/system/{name.name}" if missing else ""
    return UsageError(f"cannot read {given.get(str(name), name)}: {error.strerror}", hint)


def _refuse_a_source(output: str, sources: Sequence[Path]) -> None:
    """UsageError: the output would take the place of a file that it is made of, which --force does not mean."""
    place = Path(output).absolute()
    for source in sources:
        if output != "-" and source.exists() and place.parent.exists() and _same_entry(source, place):
            raise UsageError(
                f"{output} is read by this import, which never overwrites it", "Give another name with -o."
            )


def _same_entry(one: Path, other: Path) -> bool:
    return one.name == other.name and one.absolute().parent.samefile(other.parent)


def _compare(sources: Sequence[Path], tool: str | None, env: str | None) -> None:
    """Print how the installed tools read the files, beside what the import makes of them."""
    from supervisor.config.importers.formats import TOOLS, by_tool
    from supervisor.config.importers.side_by_side import check
    from supervisor.core.text.redact import text_without_secrets

    _refuse_unknown(tool, TOOLS)
    try:
        found = check(by_tool(sources, tool), os.environ, env)
    except OSError as error:
        raise _unreadable(error, sources) from None
    for one in found:
        click.echo(f"{one.tool} compared with the import, by {', '.join(sorted(one.compared)) or 'nothing'}:")
        for row in one.rows:
            click.echo(f"  {row.service}  {row.where}{'' if row.differences else ': the same'}")
            for difference in row.differences:
                click.echo(f"    {text_without_secrets(difference)}")
    count = sum(len(row.differences) for one in found for row in one.rows)
    if count:
        raise OperationFailed(f"{count} difference{'' if count == 1 else 's'}")


def _refuse_unknown(tool: str | None, tools: Sequence[str]) -> None:
    if tool is not None and tool not in tools:
        raise UsageError(f"--format {tool}: the tools are {', '.join(tools)}")


def _least_mode(sources: Sequence[Path]) -> int:
    """The mode of the result.  It holds the environments of its sources, so only users who may read all may read it.

    A source that does not exist, such as an instance of a systemd template, was read from another source."""
    mode = 0o666
    for source in filter(Path.exists, sources):
        mode &= source.stat().st_mode | 0o600
    return mode


def _write(path: str, text: str, force: bool, mode: int, service: str = "") -> None:
    """Write the file as a whole.  OperationFailed: it exists and `force` is not set, or it cannot be written.

    What was begun is removed then.  `service`: the command that adds the service to a file that exists."""
    fresh = f"{path}.new" if force else path
    try:
        content = text.encode()
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            with open(descriptor, "wb") as file:
                file.write(content)
            if force:
                Path(fresh).replace(path)
        except OSError:
            Path(fresh).unlink(missing_ok=True)
            raise
    except FileExistsError:
        hint = "Remove it." if force else "Choose another name, or overwrite it with --force."
        if service and not force:
            hint += f"\nTo add the service to the file: {service}"
        raise OperationFailed(f"{fresh} exists already", hint) from None
    except UnicodeEncodeError:
        raise OperationFailed(f"cannot write {path}: a name or path in it is not UTF-8") from None
    except OSError as error:
        raise OperationFailed(f"cannot write {path}: {error.strerror}") from None


def _problems(path: str) -> list[str]:
    """What `check` refuses in the file, a line each."""
    from supervisor.config.load import load

    try:
        load(path)
    except ConfigError as error:
        return error.message.split("\n")
    return []


def _tell(imported: Imported, output: str, problems: Sequence[str], err: bool = False) -> None:
    """What was taken over, what was not, and what to type next."""
    count = len(imported.services)
    services = f"{count} service{'' if count == 1 else 's'} of {imported.tool}"
    click.echo(f"{output} written: {services}" if output else services, err=err)
    for service in imported.services:
        click.echo(f"  {service.name}  from {service.file}:{service.line}", err=err)
    if imported.losses:
        click.echo(f"\nNot taken over as it stands ({len(imported.losses)}):", err=err)
    for loss in imported.losses:
        click.echo(f"  {loss.kind}: {loss}", err=err)
    if problems:
        click.echo("\nNot yet accepted:", err=err)
    for problem in problems:
        click.echo(f"  {problem}", err=err)
    if not problems and output:
        ours = _with(output)
        click.echo(f"\nNext: `{ours} check` shows what would be started, `{ours} up` starts it.", err=err)


def _document(imported: Imported, output: str, problems: Sequence[str]) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "file": output,
        "tool": imported.tool,
        "services": [{"name": one.name, "file": one.file, "line": one.line} for one in imported.services],
        "losses": [asdict(one) for one in imported.losses],
        "problems": list(problems),
    }
