"""`edit` and `add`: change services.toml, and never replace it by a text that `check` refuses."""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

import click

from supervisor.cli.daemon_target import DaemonTarget
from supervisor.cli.options import daemon_options, pass_target
from supervisor.errors import ConfigError, OperationFailed, UsageError


@click.command()
@daemon_options("-f", "--file")
@pass_target
def edit(target: DaemonTarget) -> None:
    """Edit services.toml in $EDITOR, check it, and apply it.

    $VISUAL is preferred to $EDITOR.  You edit a copy, which replaces the file when `check` accepts it.  While `check`
    refuses it, you can edit it again.  A running daemon applies the new file as `reload` does.

    Example: supervisor edit"""
    path = Path(target.file).resolve()
    before = _read(path)
    copy = _copy(path, before)
    try:
        while True:
            click.edit(filename=str(copy))
            try:
                if _read(copy) == before:
                    click.echo(f"{path}: nothing was changed")
                    return
                _check(copy, path)
                break
            except ConfigError as error:
                click.echo(error.message, err=True)
                if not _again():
                    raise OperationFailed(f"{path} stays as it was") from None
        if _read(path) != before:
            raise OperationFailed(f"{path} was changed by another program")
        copy.replace(path)
    finally:
        if copy.exists() and copy.read_bytes() == before.encode():
            copy.unlink()
        elif copy.exists():  # also after Ctrl-C, and where the editor failed
            click.echo(f"What you wrote is in {copy}", err=True)
    click.echo(f"{path} is changed")
    _reload_or_say(target)


def _again() -> bool:
    """Ask whether to edit the text again; no answer is a no."""
    try:
        return click.confirm("Edit it again?", default=True, err=True)
    except click.Abort:
        return False


@click.command(context_settings={"allow_interspersed_args": False})
@daemon_options("-f", "--file")
@click.argument("name")
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="-- COMMAND…")
@pass_target
def add(target: DaemonTarget, name: str, command: tuple[str, ...]) -> None:
    """Add a service to the end of services.toml.

    The rest of the file keeps its text and comments; a missing file is created.  The service runs in the current
    directory.  Where a daemon runs, `supervisor reload` starts the service.  Options stand before NAME.  What a known
    program needs (docs/programs.md) is written too, and told.

    Example: supervisor add web -- python -m http.server 8000"""
    from supervisor.config.importers.services_toml import service_toml
    from supervisor.programs.suggestion import suggestion

    if len(command) < 2 or command[0] != "--":
        raise UsageError("-- stands between the name and the command", "supervisor add web -- python app.py")
    path = Path(target.file).resolve()
    before = _read(path) if path.exists() else ""
    if name in _services(before, path):
        raise UsageError(f"{path} has a service {name} already", f"Change it with: supervisor edit -f {path}")
    known = suggestion(command[1:])
    table: dict[str, object] = {"command": known.command, **known.keys}
    if Path.cwd() != path.parent:
        table["directory"] = str(Path.cwd())
    new = service_toml(name, table)
    copy = _copy(path, f"{before.rstrip()}\n\n{new}" if before.strip() else new)
    try:
        _check(copy, path)
        copy.replace(path)
    finally:
        copy.unlink(missing_ok=True)
    for reason in known.reasons:
        click.echo(f"  {reason}")
    click.echo(f"{name} added to {path}; `supervisor reload` starts it, or `supervisor up` where no daemon runs")


def _services(text: str, path: Path) -> Collection[str]:
    from supervisor.config.source.read import parse

    services = parse(text, str(path)).get("services", {})
    return services if isinstance(services, dict) else ()


def _read(path: Path) -> str:
    from supervisor.config.source.read import read_text

    return read_text(path)


def _copy(path: Path, text: str) -> Path:
    """A new file beside `path`, with its mode and owner.  OperationFailed where it cannot be written."""
    copy = path.with_name(f".{path.name}.{os.getpid()}.toml")
    try:
        content = text.encode()
        status = path.stat() if path.exists() else None
        with open(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            if status is not None:
                with suppress(PermissionError):  # a file of another user that this user may write
                    os.fchown(file.fileno(), status.st_uid, status.st_gid)
                os.fchmod(file.fileno(), status.st_mode & 0o7777)
            else:
                os.fchmod(file.fileno(), 0o644)
            file.write(content)
    except UnicodeEncodeError:
        raise OperationFailed(f"cannot write {path}: a name or path in it is not UTF-8") from None
    except OSError as error:
        copy.unlink(missing_ok=True)
        raise OperationFailed(f"cannot write {copy}: {error.strerror}") from None
    return copy


def _check(copy: Path, path: Path) -> None:
    """Load the copy.  ConfigError, with the name of the file that it is to replace, where it is refused."""
    from supervisor.config.load import load

    try:
        load(copy, note=lambda line: click.echo(f"note: {line}".replace(str(copy), str(path)), err=True))
    except ConfigError as error:
        raise ConfigError(error.message.replace(str(copy), str(path)), error.hint) from None


def _reload_or_say(target: DaemonTarget) -> None:
    """Let a running daemon apply the file; without one, say what starts the services."""
    from supervisor.cli.reload import reload
    from supervisor.errors import NotListening

    try:
        click.get_current_context().invoke(reload, dry_run=False, no_wait=False, as_json=False)
    except NotListening:
        click.echo("no daemon runs: `supervisor up` starts the services")
