"""Defines the group of commands; each command is imported only when it is used."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import Any

import click
from click.shell_completion import CompletionItem

from supervisor import __version__
from supervisor.cli.daemon_target import DaemonTarget
from supervisor.cli.options import CommandGroup, daemon_options, one_line, profile_option

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
        "ls": "daemons.ls",
        "tree": "instances.tree",
        "balance": "balance",
        "logs": "logs",
        "events": "events",
        "why": "why",
        "report": "report",
        "web": "top",
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
        "exec": "instances.exec",
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
        "demo": "daemons.demo",
    },
}
"""The module of each command, by the headings of `--help`."""


ACTING = frozenset(
    {"run", "up", "down", "reload", "upgrade", "start", "stop", "restart", "rollout", "scale", "signal", "reset"}
    | {"maintenance", "add", "edit"}
)
"""They change something: a file that is not in the current directory is named."""


class Answered(click.ClickException):
    """A word of another tool that is not run; the message says what to type instead."""

    exit_code = 2

    def show(self, file: Any = None) -> None:
        click.echo(f"supervisor {self.message}", file=file, err=True)


class Commands(CommandGroup):
    """Imports the module of a command only to run or describe it.  Knows the words of other tools (known_words.py)."""

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
            from supervisor.cli.words.known_words import understood

            ours = understood(args)
            if isinstance(ours, list) and ours[0].startswith("-"):
                self.make_context(ctx.info_name or "", ours, obj=ctx.obj)  # prints the help or the version, and exits
            if isinstance(ours, list):
                return self.resolve_command(ctx, ours)
            if not ctx.resilient_parsing:
                raise self._unknown(ctx, args[0], ours)
        if args and args[0] in ACTING and not ctx.resilient_parsing:
            ctx.ensure_object(DaemonTarget).acts = True
        return super().resolve_command(ctx, args)

    def _unknown(self, ctx: click.Context, word: str, answer: str | None) -> click.ClickException:
        if answer is not None:
            return Answered(f"{word}: {answer}")
        from supervisor.cli.words.known_words import ALIASES, ANSWERS
        from supervisor.core.text.nearest import nearest

        known = nearest(word, [*self.list_commands(ctx), *ALIASES, *ANSWERS], 1)
        if known and known[0] in ANSWERS:  # a command of ours that is spelled alike may do something else
            return Answered(f"{word}: there is no such command. {known[0]}: {ANSWERS[known[0]].says}")
        commands = self.list_commands(ctx)
        alike = [one for one in commands if len(word) >= 3 and (one.startswith(word) or one == word[:-1])]
        near = list(dict.fromkeys([*nearest(word, commands), *alike])) or known
        hint = f" Did you mean {' or '.join(near)}?" if near else " `supervisor --help` lists all."
        return click.UsageError(f"There is no command {word!r}.{hint}", ctx)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            if error.ctx is not None and error.ctx.parent is ctx and (answer := _answer(error, error.ctx.info_name)):
                raise Answered(f"{error.ctx.info_name} {answer}") from None
            raise

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Commands of ours; where none begins so, words of other tools that are run."""
        from supervisor.cli.words.known_words import ALIASES

        found = super().shell_complete(ctx, incomplete)
        return found or [CompletionItem(word) for word in ALIASES if word.startswith(incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for heading, names in SECTIONS.items():
            commands = [(name, self.get_command(ctx, name)) for name in names]
            with formatter.section(heading):
                formatter.write_dl([(name, one_line(command)) for name, command in commands if command is not None])


def _answer(error: click.UsageError, command: str | None) -> str:
    """What is said of an option or an argument that another tool takes; empty where none is known."""
    from supervisor.cli.words.known_words import ARGUMENTS, OPTIONS

    if isinstance(error, click.NoSuchOption):
        says = OPTIONS.get(command or "", {}).get(error.option_name)
        return f"{error.option_name}: {says}" if says else ""
    if error.message.startswith("Got unexpected extra argument"):
        says = ARGUMENTS.get(command or "")
        return f"takes no name: {says}" if says else ""
    return ""


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="supervisor")
@daemon_options("-f", "--file")
@partial(profile_option, hidden=True)  # `docker compose --profile NAME up`
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Supervise the processes of services.toml: notice when they hang, not only when they exit, bring them back, and
    say why.

    \b
    Examples:
      supervisor init       write a first services.toml
      supervisor up         start everything and watch it
      supervisor status     what runs, and what does not
      supervisor why web    why web failed, and where it hangs

    Words of supervisorctl, docker compose, systemctl and pm2 are understood, too (docs/words.md)."""
