"""`check`, `reload`, `init`: the configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from supervisor.cli.daemon_target import Place
from supervisor.cli.options import daemon_options, pass_place
from supervisor.errors import OperationFailed

JSON = dict[str, Any]

STARTER = """\
# What is to be supervised.  `supervisor check` validates this file, `supervisor up` runs it.
# Durations have a unit (ms s m h d), sizes too (KiB MiB GiB).

[services.hello]
command = ["sh", "-c", "while :; do echo hello; sleep 5; done"]   # a list of words; no shell unless you name one
# directory = "app"                       # where it runs; the folder of this file unless given
# environment = { PORT = "${PORT:-8000}" }
# depends_on = ["redis"]                  # started when redis is ready, stopped before it
# replicas = 2                            # instances hello@1 and hello@2

# [services.hello.ready]                  # ready as soon as it runs, unless one of these says when
# http = "http://127.0.0.1:8000/healthz"  # or: notify = true, tcp, exec, log, delay

# [services.hello.heartbeat]              # notice a hang, not only an exit
# source = "http"                         # or: notify, tcp, exec, file, log, activity
# http = "http://127.0.0.1:8000/healthz"
# interval = "1s"

[services.hello.restart]
policy = "on-failure"                     # always, on-failure or never
initial = "100ms"                         # the first delay; it doubles
maximum = "30s"
max_restarts = 5                          # more than this within the window, and the breaker opens
window = "60s"
"""


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


@click.command()
@daemon_options("-f", "--file")
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@click.option("--json", "as_json", is_flag=True, help="The answer of the API.")
@pass_place
def reload(place: Place, dry_run: bool, as_json: bool) -> None:
    """Apply an edited services.toml: only what changed is touched."""
    answer = place.client.post("/v1/reload", {"dry_run": dry_run})
    if as_json:
        from json import dumps

        click.echo(dumps(answer))
        return
    for line in _difference(answer):
        click.echo(line)


def _difference(answer: JSON) -> list[str]:
    lines = [click.style(f"+ {name}", fg="green") for name in answer["added"]]
    lines += [click.style(f"- {name}", fg="red") for name in answer["removed"]]
    for name, keys in answer["changed"].items():
        how = "restarted" if name in answer["restarted"] else "in place"
        lines.append(click.style(f"~ {name}", fg="yellow") + f"  {', '.join(keys)} ({how})")
    for key in answer["supervisor"]:
        lines.append(
            click.style(f"! supervisor.{key}", fg="yellow") + "  takes effect when the daemon is started again"
        )
    changes = len(lines)
    done = "applied" if answer["applied"] else "nothing was done: --dry-run"
    lines.append(f"{changes or 'no'} change{'' if changes == 1 else 's'}, {answer['unchanged']} as before ({done})")
    return lines


@click.command()
@click.option("--force", is_flag=True, help="Overwrite a file that is there.")
@click.argument("path", default="services.toml", metavar="[FILE]")
def init(path: str, force: bool) -> None:
    """Write a first services.toml."""
    try:
        with Path(path).open("w" if force else "x") as file:
            file.write(STARTER)
    except FileExistsError:
        raise OperationFailed(f"{path} is there already", "Give another name, or --force to overwrite it.") from None
    except OSError as error:
        raise OperationFailed(f"cannot write {path}: {error.strerror}") from None
    click.echo(f"{path} is written; `supervisor check` explains it, `supervisor up` runs it")
