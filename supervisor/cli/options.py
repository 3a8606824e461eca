"""The options and arguments that commands share."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import click

from supervisor.cli.daemon_target import DaemonTarget, on_terminal
from supervisor.config.units import parse_duration
from supervisor.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])


class WholeNumber(click.IntRange):
    """A number within a range; in an error it is called so, not an "integer range"."""

    name = "whole number"


def colored() -> bool:
    """Whether to print colour on stdout."""
    color = click.get_current_context().color
    return on_terminal() if color is None else color


def daemon_options(*file_flags: str) -> Callable[[F], F]:
    """--file, --socket and --color, after the options of the command itself.  Without arguments only the long form of
    --file, where -f means follow."""

    def set_file(ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
        if value is not None:
            ctx.ensure_object(DaemonTarget).name_file(value)

    def set_socket(ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
        if value is not None:
            ctx.ensure_object(DaemonTarget).name_socket(value)

    def set_color(ctx: click.Context, _param: click.Parameter, value: bool | None) -> None:
        target = ctx.ensure_object(DaemonTarget)
        if value is not None:
            target.color = value
        ctx.color = target.color

    def add(command: F) -> F:
        hidden: dict[str, Any] = {"expose_value": False, "default": None}
        own = list(getattr(command, "__click_params__", ()))
        for option in (
            click.option(
                "--color/--no-color",
                callback=set_color,
                help="Always or never use colour.  [on a terminal, without NO_COLOR]",
                **hidden,
            ),
            click.option(
                "--socket",
                metavar="PATH",
                callback=set_socket,
                help="The control socket of the daemon.  [SUPERVISOR_SOCKET, else that of FILE]",
                **hidden,
            ),
            click.option(
                *(file_flags or ("--file",)),
                metavar="FILE",
                callback=set_file,
                help="The configuration file.  [services.toml here or in a directory above]",
                **hidden,
            ),
        ):
            command = option(command)
        params: list[click.Parameter] = command.__click_params__  # type: ignore[attr-defined]
        params[:] = [
            *params[len(own) :],
            *own,
        ]  # click reverses this list: the options of the command itself come first
        return command

    return add


def profile_option(command: F, *, hidden: bool = False) -> F:
    """--profile, which names the profiles that are to be active."""

    def set_profiles(ctx: click.Context, _param: click.Parameter, value: tuple[str, ...]) -> None:
        names = (name.strip() for given in value for name in given.split(","))
        if value:
            ctx.ensure_object(DaemonTarget).profiles = tuple(dict.fromkeys(filter(None, names)))

    return click.option(
        "--profile",
        metavar="NAME",
        multiple=True,
        expose_value=False,
        callback=set_profiles,
        hidden=hidden,
        help="Make this profile active; can be repeated, * means all.  [SUPERVISOR_PROFILES]",
    )(command)


def one_line(command: click.Command) -> str:
    """The whole first sentence of a command's help, for a list of commands."""
    return command.get_short_help_str(limit=200)


class CommandGroup(click.Group):
    """A group whose help has one whole line for each command, and the options last.  An error names its commands."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if self.commands and not args[0].startswith("-") and args[0] not in self.commands and not ctx.resilient_parsing:
            known = " | ".join(self.commands)
            raise click.UsageError(f"There is no command {args[0]!r}; write {ctx.command_path} {known}.", ctx)
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.format_commands(ctx, formatter)
        click.Command.format_options(self, ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, one_line(command)) for name, command in self.commands.items()])


def complete_services(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Completions for the shell: names that the daemon knows."""
    from supervisor.errors import SupervisorError

    try:
        services = ctx.ensure_object(DaemonTarget).client.services()["services"]
    except SupervisorError:
        return []
    names: dict[str, None] = {}
    for service in services:
        names |= dict.fromkeys([service["name"], *service["instances"]])
        if service["group"]:
            names[service["group"]] = None
    return [name for name in names if name.startswith(incomplete)]


services_argument = click.argument("services", nargs=-1, metavar="[SERVICE]…", shell_complete=complete_services)


def as_duration(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    """`10s`, `5m`, `2h`, `1d`: seconds."""
    if value is None:
        return None
    try:
        return parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(f"{error}.") from None


def as_moment(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    """A moment, by its distance from now or in ISO 8601 (local time unless it says otherwise): seconds since the
    epoch."""
    if value is None:
        return None
    with suppress(ValueError):
        return time.time() - parse_duration(value)
    from supervisor.core.text.timestamps import from_iso

    try:
        return from_iso(value, local=True)
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a time: write 10s, 5m, 2h or 1d (ago), or ISO 8601.") from None


since_option = click.option(
    "--since", callback=as_moment, metavar="TIME", help="Begin 10s, 5m, 2h or 1d ago, or at this ISO 8601 time."
)
pass_target = click.make_pass_decorator(DaemonTarget, ensure=True)


def picture(_ctx: click.Context, _param: click.Parameter, value: Path | None) -> Path | None:
    """A picture file; the suffix determines the format."""
    if value is not None and value.suffix not in (".png", ".svg", ".html"):
        raise click.BadParameter(f"{str(value)!r}: the name must end in .png, .svg or .html.")
    return value


def refuse_file(services: tuple[str, ...]) -> None:
    """UsageError where one of these is a file: in `logs` and `events`, -f means --follow."""
    for name in services:
        if os.path.isfile(name):  # noqa: PTH113 - pathlib costs
            raise UsageError(f"-f means --follow here, and {name} is a file", f"Write `supervisor -f {name} … -f`.")
