"""`reload`: makes the daemon apply an edited services.toml, and prints what changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from supervisor.cli.daemon_target import DaemonTarget
from supervisor.cli.options import daemon_options, pass_target

if TYPE_CHECKING:
    from supervisor.core.model.documents import Difference


@click.command()
@daemon_options("-f", "--file")
@click.option("--dry-run", is_flag=True, help="Only print what would change.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer of the API.")
@pass_target
def reload(target: DaemonTarget, dry_run: bool, as_json: bool) -> None:
    """Apply an edited services.toml; what did not change keeps running.

    Example: supervisor reload --dry-run"""
    answer = target.client.reload(dry_run)
    if as_json:
        from json import dumps

        click.echo(dumps(answer))
        return
    for line in _difference(answer):
        click.echo(line)


def _difference(answer: Difference) -> list[str]:
    lines = [click.style(f"+ {name}", fg="green") for name in answer["added"]]
    lines += [click.style(f"- {name}", fg="red") for name in answer["removed"]]
    for name, keys in answer["changed"].items():
        how = "restarted" if name in answer["restarted"] else "in place"
        lines.append(click.style(f"~ {name}", fg="yellow") + f"  {', '.join(keys)} ({how})")
    for key in answer["supervisor"]:
        lines.append(click.style(f"! supervisor.{key}", fg="yellow") + "  takes effect when the daemon is restarted")
    changes = len(lines)
    done = "applied" if answer["applied"] else "dry run, nothing done"
    lines.append(f"{changes or 'no'} change{'' if changes == 1 else 's'}, {answer['unchanged']} unchanged ({done})")
    return lines
