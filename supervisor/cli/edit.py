"""`edit` and `add`: change services.toml, and never replace it by a text that `check` refuses."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

import click

from supervisor.cli.daemon_target import DaemonTarget
from supervisor.cli.options import complete_services, daemon_options, pass_target
from supervisor.errors import ConfigError, OperationFailed, UsageError


@click.command()
@daemon_options("-f", "--file")
@click.argument("what", required=False, metavar="[SERVICE|FILE]", shell_complete=complete_services)
@pass_target
def edit(target: DaemonTarget, what: str | None) -> None:
    """Edit services.toml in $EDITOR, check it, and apply it.

    With a service or a template, the file that defines it; with the path of a file, that one, which services.toml has
    to include.  $VISUAL is preferred to $EDITOR.  You edit a copy, which replaces the file when `check` accepts it.
    While `check` refuses it, you can edit it again.  A running daemon applies the new file as `reload` does.

    Example: supervisor edit"""
    path = (_chosen(target.file, what) if what else Path(target.file)).resolve()
    before = _read(path)
    copy = _copy(path, before)
    try:
        while True:
            _open_editor(copy)
            try:
                if _read(copy) == before:
                    click.echo(f"{path}: nothing was changed")
                    return
                _check(target, path, copy)
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


def _open_editor(path: Path) -> None:
    """Run the editor, and wait for it.  OperationFailed where there is none, or it fails."""
    import shlex
    import shutil

    variable = next((name for name in ("VISUAL", "EDITOR") if os.environ.get(name)), "")
    hint = "Set EDITOR to one that is installed: EDITOR=nano supervisor edit"
    written = os.environ[variable] if variable else "vi"
    try:
        words = shlex.split(written)
    except ValueError:
        raise OperationFailed(f"the command in {variable} has a quote that is not closed", hint) from None
    usual = ("sensible-editor", "vim", "nano", "vi")
    if variable and (not words or shutil.which(words[0]) is None):
        raise OperationFailed(
            f"there is no editor {words[0] if words else repr(written)}, which {variable} names", hint
        )
    if not variable and not any(map(shutil.which, usual)):
        raise OperationFailed(
            f"there is no editor: neither VISUAL nor EDITOR is set, and none of {', '.join(usual)} is installed", hint
        )
    try:
        click.edit(filename=str(path))
    except click.ClickException:
        raise OperationFailed(f"the editor{f' of {variable}' if variable else ''} ended with an error") from None


def _chosen(file: str, what: str) -> Path:
    """The file that has the service or template of this name, or that has this path."""
    from supervisor.config.definition import file_of
    from supervisor.errors import NoSuchService

    if what.endswith(".toml"):
        return Path(what)
    found = file_of(file, what.partition("@")[0])
    if found is None:
        raise NoSuchService(f"no service or template {what} in {file} and what it includes")
    return Path(found)


def _again() -> bool:
    """Ask whether to edit the text again; no answer is a no."""
    try:
        return click.confirm("Edit it again?", default=True, err=True)
    except click.Abort:
        return False


@click.command(context_settings={"allow_interspersed_args": False})
@daemon_options("-f", "--file")
@click.option("--to", metavar="FILE", help="Add it to a file that services.toml includes; a missing one is created.")
@click.argument("name")
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="-- COMMAND…")
@pass_target
def add(target: DaemonTarget, to: str | None, name: str, command: tuple[str, ...]) -> None:
    """Add a service to the end of services.toml.

    The rest of the file keeps its text and comments; a missing file is created.  The service runs in the current
    directory.  Where a daemon runs, `supervisor reload` starts the service.  Options stand before NAME.  What a known
    program needs (docs/programs.md) is added and printed.

    Example: supervisor add web -- python -m http.server 8000"""
    from supervisor.config.importers.services_toml import service_toml
    from supervisor.programs.suggestion import suggestion

    if len(command) < 2 or command[0] != "--":
        raise UsageError("-- stands between the name and the command", "supervisor add web -- python app.py")
    path = Path(to or target.file).resolve()
    before = _read(path) if path.exists() else ""
    if name in _services(before, path):
        raise UsageError(f"{path} has a service {name} already", f"Change it with: supervisor edit -f {path}")
    known = suggestion(command[1:])
    table: dict[str, object] = {"command": known.command, **known.keys}
    if Path.cwd() != Path(target.file).parent.resolve():
        table["directory"] = str(Path.cwd())
    new = service_toml(name, table)
    text = f"{before.rstrip()}\n\n{new}" if before.strip() else new
    if to and not path.exists():  # no pattern finds a copy
        _write(path, text)
        try:
            _check(target, path)
        except BaseException:
            path.unlink()
            raise
        click.echo(_added(name, path, known.reasons))
        return
    copy = _copy(path, text)
    try:
        _check(target, path, copy)
        copy.replace(path)
    finally:
        copy.unlink(missing_ok=True)
    click.echo(_added(name, path, known.reasons))


def _added(name: str, path: Path, reasons: Sequence[str]) -> str:
    done = f"{name} added to {path}; `supervisor reload` starts it, or `supervisor up` where no daemon runs"
    return "\n".join([*(f"  {reason}" for reason in reasons), done])


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
    _write(copy, text, like=path)
    return copy


def _write(copy: Path, text: str, like: Path | None = None) -> None:
    """Write a new file, with the mode and owner of `like`.  OperationFailed where that is not possible."""
    path = like or copy
    try:
        content = text.encode()
        status = like.stat() if like is not None and like.exists() else None
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


def _check(target: DaemonTarget, path: Path, copy: Path | None = None) -> None:
    """Load the configuration with the copy in place of the file `path` of it.  ConfigError where it is
    refused, UsageError where it does not include `path`."""
    from supervisor.config.load import load

    included: list[str] = []
    file = target.file
    main = Path(file).resolve()
    try:
        load(
            copy if copy is not None and not main.exists() else file,
            note=lambda line: click.echo(f"note: {line}".replace(str(copy), str(path)), err=True),
            profiles=target.wanted_profiles,
            on_file=included.append,
            instead={path: copy} if copy is not None else {},
        )
    except ConfigError as error:
        raise ConfigError(error.message.replace(str(copy), str(path)), error.hint) from None
    if path != main and path not in (Path(name).resolve() for name in included):
        raise UsageError(
            f"{file} does not include {path}", 'Write at its top, for example: include = ["conf.d/*.toml"]'
        )


def _reload_or_say(target: DaemonTarget) -> None:
    """Let a running daemon apply the file; without one, say what starts the services."""
    from supervisor.cli.reload import reload
    from supervisor.errors import NotListening

    try:
        click.get_current_context().invoke(reload, no_profile=False, dry_run=False, no_wait=False, as_json=False)
    except NotListening:
        click.echo("no daemon runs: `supervisor up` starts the services")
