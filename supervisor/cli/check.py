"""`check`: validates services.toml and prints the plan."""

from __future__ import annotations

import click

from supervisor.cli.daemon_target import Place
from supervisor.cli.options import daemon_options, pass_place


@click.command()
@daemon_options("-f", "--file")
@click.option("--schema", "only_schema", is_flag=True, help="Print the JSON Schema of services.toml, for editors.")
@click.argument("path", required=False, metavar="[FILE]")
@pass_place
def check(place: Place, only_schema: bool, path: str | None) -> None:
    """Validate services.toml and print the plan: the order, and what would be started."""
    if only_schema:
        from json import dumps

        from supervisor.config.export.json_schema import schema

        click.echo(dumps(schema(), indent=2))
        return
    from supervisor.config.explain import plan_text
    from supervisor.config.load import load
    from supervisor.config.source.locate import default_path

    click.echo(plan_text(load(path or place.given_file or default_path())), nl=False)
