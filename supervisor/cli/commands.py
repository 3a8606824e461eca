"""Defines the group of commands; each command is imported only when it is used."""

from __future__ import annotations

from importlib import import_module

import click

from supervisor import __version__
from supervisor.cli.options import CommandGroup, daemon_options, one_line

SECTIONS: dict[str, dict[str, str]] = {
    "Daemon": {
        "run": "run",
        "up": "up",
        "down": "down",
        "reload": "reload",
        "upgrade": "upgrade",
        "top": "top",
    },
    "Inspection": {
        "status": "status",
        "balance": "balance",
        "logs": "logs",
        "events": "events",
        "why": "why",
        "report": "report",
    },
    "Services": {
        "start": "actions",
        "stop": "actions",
        "restart": "actions",
        "rollout": "actions",
        "scale": "scale",
        "signal": "actions",
        "reset": "actions",
        "maintenance": "maintenance",
        "wait": "actions",
    },
    "Several hosts": {
        "cluster": "cluster_push",  # and with it the commands of cluster.py
        "fleet": "fleet",
    },
    "Configuration": {
        "check": "check",
        "show": "show",
        "init": "init",
        "add": "edit",
        "edit": "edit",
        "detectors": "detectors.group",
        "systemd": "systemd",
        "completion": "completion",
    },
}
"""The module of each command, by the headings of `--help`."""


class Commands(CommandGroup):
    """Imports the module of a command only to run or describe it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for section in SECTIONS.values() for name in section]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        for section in SECTIONS.values():
            if cmd_name in section:
                found: click.Command = getattr(import_module(f"supervisor.cli.{section[cmd_name]}"), cmd_name)
                return found
        return None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            from supervisor.core.text.nearest import nearest

            near = nearest(args[0], self.list_commands(ctx))
            hint = f" Did you mean {' or '.join(near)}?" if near else " `supervisor --help` lists all."
            raise click.UsageError(f"There is no command {args[0]!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for heading, names in SECTIONS.items():
            commands = [(name, self.get_command(ctx, name)) for name in names]
            with formatter.section(heading):
                formatter.write_dl([(name, one_line(command)) for name, command in commands if command is not None])


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="supervisor")
@daemon_options("-f", "--file")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Supervise the processes of services.toml: notice when they hang, not only when they exit, bring them back, and
    say why.

    \b
    Examples:
      supervisor init       write a first services.toml
      supervisor up         start everything and watch it
      supervisor status     what runs, and what does not
      supervisor why web    why web failed, and where it hangs"""
