"""`completion`: prints the completion script of a shell, which click generates."""

from __future__ import annotations

import click


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell.

    Example: eval "$(supervisor completion bash)\""""
    from click.shell_completion import get_completion_class

    command = click.get_current_context().find_root().command
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(command, {}, "supervisor", "_SUPERVISOR_COMPLETE").source())
