"""`check`: validates services.toml and prints the plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from supervisor.cli.daemon_target import DaemonTarget
from supervisor.cli.options import daemon_options, pass_target, profile_option

if TYPE_CHECKING:
    from supervisor.core.model.spec import Plan


@click.command()
@daemon_options("-f", "--file")
@profile_option
@click.option("--schema", "only_schema", is_flag=True, help="Print the JSON Schema of services.toml, for editors.")
@click.argument("path", required=False, metavar="[FILE]")
@pass_target
def check(target: DaemonTarget, only_schema: bool, path: str | None) -> None:
    """Validate services.toml and print the order of the start.

    Example: supervisor check services.toml"""
    if only_schema:
        from json import dumps

        from supervisor.config.export.json_schema import schema

        click.echo(dumps(schema(), indent=2))
        return
    from supervisor.config.explain import plan_text
    from supervisor.config.load import load
    from supervisor.config.source.locate import default_path
    from supervisor.config.source.problems import visible

    included: list[str] = []
    plan = load(
        path or target.given_file or default_path(),
        note=lambda line: click.echo(f"note: {line}", err=True),
        profiles=target.wanted_profiles,
        on_file=lambda name: included.append(visible(name)),
    )
    click.echo(plan_text(plan, included) + "\n" + host_text(plan), nl=False)


def host_text(plan: Plan) -> str:
    """CPUs, load and memory of the host, and a warning if the memory limits exceed it."""
    import psutil

    from supervisor.core.text.units import size

    memory, load = psutil.virtual_memory(), psutil.getloadavg()[0]
    cpus = psutil.cpu_count() or 1
    text = f"this host has {cpus} CPU{'' if cpus == 1 else 's'}, a load of {load:.2f}, and "
    text += f"{size(memory.total)} of memory, {size(memory.available)} available\n"
    allowed = sum(s.replicas * s.resources.max_memory for s in plan.services if s.resources and s.resources.max_memory)
    if allowed > memory.total:
        text += f"max_memory of all instances adds up to {size(allowed)}, more than this host has\n"
    return text
