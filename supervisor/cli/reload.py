"""`reload`: makes the daemon apply an edited services.toml, and prints what changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from supervisor.cli.daemon_target import MOVED, DaemonTarget
from supervisor.cli.options import daemon_options, pass_target, profile_option
from supervisor.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from supervisor.core.model.documents import Difference
    from supervisor.core.model.instance_documents import Instance


@click.command()
@daemon_options("-f", "--file")
@profile_option
@click.option("--no-profile", is_flag=True, help="Make no profile active.")
@click.option("--dry-run", is_flag=True, help="Only print what would change.")
@click.option("--no-wait", is_flag=True, help="Do not wait for what is replaced instance by instance.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer of the API.")
@pass_target
def reload(target: DaemonTarget, no_profile: bool, dry_run: bool, no_wait: bool, as_json: bool) -> None:
    """Apply an edited services.toml; what did not change keeps running.

    A changed service with a [rollout] is replaced instance by instance; the command returns when that is done, with
    exit code 1 where it was rolled back or halted.  The active profiles stay as they are; with --profile, exactly those
    that are given become active.

    Example: supervisor reload --dry-run"""
    if no_profile and target.profiles:
        raise UsageError("--profile and --no-profile contradict each other")
    try:
        answer = target.client.reload(dry_run, target.profiles if target.profiles or no_profile else None)
    except ConfigError:
        if moved := target.moved_from:
            raise ConfigError(f"the file was moved; the daemon reads {moved}", MOVED) from None
        raise
    if as_json:
        from json import dumps

        click.echo(dumps(answer))
        return
    for line in _difference(answer):
        click.echo(line)
    left = _left(answer)
    if left and not dry_run:
        for line in _at_rest(target.client.status(left)["instances"], answer):
            click.echo(line)
    rolled = answer.get("rolled", [])
    if rolled and not dry_run and not no_wait:
        from supervisor.cli.waiting.output import follow

        follow(target.client, rolled)


def _left(answer: Difference) -> list[str]:
    """The services that get neither a new process nor a start."""
    moves = {*answer["restarted"], *answer.get("rolled", [])} - {*answer.get("resting", [])}
    return [name for name in answer["changed"] if name not in moves]


def _at_rest(rows: Iterable[Instance], answer: Difference) -> Iterator[str]:
    """The commands that start what a reload does not start: what is done, and what failed and is changed in place."""
    for row in rows:
        name = row["name"]
        if row["goal"] != "up" or row.get("maintenance"):
            continue
        if row["state"] == "exited" and row["service"] in answer["restarted"]:
            yield f"{name} had ended and is not started by this: `supervisor start {name}` starts it"
        elif row["state"] == "failed":
            yield f"{name} has failed, and its breaker stays open: `supervisor reset {name}` tries it at once"


def _difference(answer: Difference) -> list[str]:
    lines = [click.style(f"+ {name}", fg="green") for name in answer["added"]]
    lines += [click.style(f"- {name}", fg="red") for name in answer["removed"]]
    ended = answer.get("scale_ended", {})
    for name, keys in answer["changed"].items():
        keys = [key for key in keys if key != "replicas" or name not in ended]  # told below
        if not keys:
            continue
        how = "restarted" if name in answer["restarted"] else "in place"
        how = "started" if name in answer.get("started", []) else how
        how = "at its next start" if name in answer.get("resting", []) else how
        how = "instance by instance" if name in answer.get("rolled", []) else how
        before = answer.get("retried", {}).get(name)
        tried = f"; tried before and {before}" if before else ""
        lines.append(click.style(f"~ {name}", fg="yellow") + f"  {', '.join(keys)} ({how}{tried})")
    for name, number in ended.items():
        ends = "ended" if answer["applied"] else "ends"
        lines.append(click.style(f"~ {name}", fg="yellow") + f"  `supervisor scale {name}={number}` {ends}")
    for key in answer["supervisor"]:
        lines.append(click.style(f"! supervisor.{key}", fg="yellow") + "  takes effect when the daemon is restarted")
    if "profiles" in answer:
        lines.append(click.style("~ profiles", fg="yellow") + f"  {', '.join(answer['profiles']) or 'none'}")
    changes = len(lines)
    done = "applied" if answer["applied"] else "dry run, nothing done"
    lines.append(f"{changes or 'no'} change{'' if changes == 1 else 's'}, {answer['unchanged']} unchanged ({done})")
    return lines
