"""`ls`: lists the daemons of this host."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from supervisor.cli.daemons.look import Found

COLUMNS = ("NAME", "PID", "READY", "FILE", "NOTE")
NOTES = {
    "no-answer": "does not answer",
    "starting": "starts or ends",
    "killed": "was killed; `status` shows what still runs",
}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def ls(as_json: bool) -> None:
    """List the daemons of this host that you may ask.

    They are those of your user and of root.  Each has its file, and how many instances are ready of those that should
    be.  A daemon that does not answer within 5 s is marked.

    Example: supervisor ls"""
    from supervisor.cli.daemons.look import look
    from supervisor.config.source.known_daemons import known_daemons
    from supervisor.display.status_row import aligned

    found = look(known_daemons())
    if as_json:
        from json import dumps

        click.echo(dumps({"daemons": found}))
    elif found:
        click.echo(aligned([COLUMNS, *map(cells, found)], {"PID"}), nl=False)
    else:
        click.echo("no daemon of this user runs on this host; `supervisor up -d` starts one", err=True)


def cells(one: Found) -> tuple[str, ...]:
    """The row of a daemon."""
    from supervisor.display.status_row import printable

    notes = [NOTES.get(one["state"], ""), "" if one["file_exists"] in (True, None) else "file is gone"]
    if one.get("profiles"):
        notes.append(f"profiles {', '.join(one['profiles'])}")
    ready = "–" if one["ready"] is None else f"{one['ready']}/{one['wanted']}"
    pid = "–" if one["pid"] is None else str(one["pid"])
    return (printable(one["name"]), pid, ready, printable(one["file"]), ", ".join(filter(None, notes)))
