"""`show`: the definition of a service, each value with the file and line that it comes from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from supervisor.cli.daemon_target import DaemonTarget
from supervisor.cli.options import daemon_options, pass_target, profile_option
from supervisor.errors import NoSuchService

if TYPE_CHECKING:
    from supervisor.config.definition import Row
    from supervisor.core.model.spec import Plan


@click.command()
@daemon_options("-f", "--file")
@profile_option
@click.option("--all", "with_defaults", is_flag=True, help="Also the keys that are not written, with their defaults.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: key, value, file and line of each.")
@click.argument("service", metavar="SERVICE")
@pass_target
def show(target: DaemonTarget, with_defaults: bool, as_json: bool, service: str) -> None:
    """Print the definition of SERVICE: each value and its origin.

    The origin is a file with a line, and for an inherited value the parent.  A key whose value differs in the running
    daemon, because the file was edited since, is named at the end.  What looks like a secret is not printed.

    Example: supervisor show web"""
    from supervisor.config.definition import definition
    from supervisor.config.load import load
    from supervisor.core.text.nearest import did_you_mean

    path, name = target.file, service.partition("@")[0]
    plan = load(path, tolerate_missing=True, profiles=target.wanted_profiles)
    rows = definition(path, name)
    if rows is None:
        near = did_you_mean(name, [*(one.name for one in plan.services), *dict(plan.inactive)])
        raise NoSuchService(f"no service {name!r} in {path}{near}")
    others = _otherwise(target, name)
    if as_json:
        from json import dumps

        found = [
            {"key": row.key, "value": _hidden(row), "of": row.of, "file": row.file or None, "line": row.line or None}
            for row in rows
            if with_defaults or row.line
        ]
        click.echo(dumps({"service": name, "file": path, "keys": found, "different_in_force": others}, indent=2))
        return
    click.echo(_text(rows if with_defaults else [row for row in rows if row.line], path))
    left = sum(not row.line for row in rows)
    if left and not with_defaults:
        click.echo(f"{left} more keys have their defaults: --all")
    if gone := _inactive(target, plan, name):
        click.echo(f"{name} is not there: none of its profiles is active ({', '.join(gone)})", err=True)
    if others:
        click.echo(
            f"the running daemon has other values: {', '.join(others)}; `supervisor reload` applies the file", err=True
        )


def _otherwise(target: DaemonTarget, name: str) -> list[str]:
    """The keys whose values differ between the running daemon and the file: those that a reload would change."""
    from supervisor.errors import SupervisorError

    try:
        found = target.client.reload(dry_run=True)
    except SupervisorError:
        return []
    return ["all keys"] if name in found["added"] else list(found["changed"].get(name, ()))


def _inactive(target: DaemonTarget, plan: Plan, name: str) -> Sequence[str]:
    """The profiles of a service that is not there for want of them; of the running daemon, where none was given."""
    from supervisor.errors import SupervisorError

    by_file = dict(plan.inactive)
    if target.profiles or plan.kept_profiles is None:
        return by_file.get(name, ())
    try:
        return target.client.status()["supervisor"].get("inactive", {}).get(name, ())
    except SupervisorError:
        return by_file.get(name, ())


def _text(rows: Sequence[Row], path: str) -> str:
    from supervisor.config.importers.services_toml import value_toml
    from supervisor.display.status_row import aligned

    folder = str(Path(path).parent)
    shown = [(_place(row, folder), row.key, value_toml(_hidden(row))) for row in rows]
    return aligned([("FROM", "KEY", "VALUE"), *shown], ()).removesuffix("\n")


def _place(row: Row, folder: str) -> str:
    if not row.line:
        return "default"
    return f"{os.path.relpath(row.file, folder)}:{row.line}" + ("" if row.of == "service" else f" [{row.of}]")


def _hidden(row: Row) -> Any:
    """The value without what looks like a secret."""
    from supervisor.core.text.redact import HIDDEN, text_without_secrets, without_secrets

    if row.key.startswith("environment.") and isinstance(row.value, str):
        name = row.key.partition(".")[2]
        return HIDDEN if text_without_secrets(f"{name}={row.value}") != f"{name}={row.value}" else row.value
    if isinstance(row.value, str):
        return text_without_secrets(row.value)
    if isinstance(row.value, list) and all(isinstance(one, str) for one in row.value):
        return without_secrets(row.value)
    return row.value
