"""`reload`: makes the daemon apply an edited services.toml, and prints what changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from supervisor.cli.daemon_target import MOVED, DaemonTarget
from supervisor.cli.options import daemon_options, pass_target, profile_option
from supervisor.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

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
    rows = target.client.status(answer["restarted"])["instances"] if answer["restarted"] else []
    for line in _difference(answer, _resting(rows, answer["applied"])):
        click.echo(line)
    if not dry_run:
        for line in _at_rest(rows):
            click.echo(line)
    rolled = answer.get("rolled", [])
    if rolled and not dry_run and not no_wait:
        from supervisor.cli.waiting.output import follow

        follow(target.client, rolled)


def _resting(rows: Iterable[Instance], applied: bool) -> set[str]:
    """Services of which nothing runs, so that the reload restarts nothing; none that has run and ended since then."""
    at_rest: set[str] = set()
    moves: set[str] = set()
    for row in rows:
        rests = row["state"] in ("stopped", "exited", "failed") and (not applied or row["cause"] == "reloaded")
        (at_rest if rests else moves).add(row["service"])
    return at_rest - moves


def _at_rest(rows: Iterable[Instance]) -> Iterator[str]:
    """What a reload does not start, because it had ended or its breaker is open; and the command that does."""
    for row in rows:
        name = row["name"]
        if row["goal"] != "up" or row.get("maintenance"):
            continue
        if row["state"] == "exited":
            yield f"{name} had ended and is not started by this: `supervisor start {name}` starts it"
        elif row["state"] == "failed":
            yield f"{name} has failed, and its breaker stays open: `supervisor reset {name}` tries it at once"


def _difference(answer: Difference, resting: Collection[str] = ()) -> list[str]:
    lines = [click.style(f"+ {name}", fg="green") for name in answer["added"]]
    lines += [click.style(f"- {name}", fg="red") for name in answer["removed"]]
    ended = answer.get("scale_ended", {})
    for name, keys in answer["changed"].items():
        keys = [key for key in keys if key != "replicas" or name not in ended]  # told below
        if not keys:
            continue
        how = "restarted" if name in answer["restarted"] else "in place"
        how = "at its next start" if name in resting else how
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
