"""`init`: writes an example services.toml."""

from __future__ import annotations

from pathlib import Path

import click

from supervisor.errors import OperationFailed

STARTER = """\
# Services to supervise.  `supervisor check` validates this file, `supervisor up` runs it.
# Durations have a unit (ms s m h d), sizes too (KiB MiB GiB).

[services.hello]
command = ["sh", "-c", "while :; do echo hello; sleep 5; done"]   # a list of words, run without a shell
# directory = "app"                       # working directory; default: the folder of this file
# environment = { PORT = "${PORT:-8000}" }
# depends_on = ["redis"]                  # started when redis is ready, stopped before it
# replicas = 2                            # instances hello@1 and hello@2

# [services.hello.ready]                  # without this, ready as soon as it runs
# http = "http://127.0.0.1:8000/healthz"  # or: notify = true, tcp, exec, log, delay

# [services.hello.heartbeat]              # detect a hang, not only an exit
# source = "http"                         # or: notify, tcp, exec, file, log, activity
# http = "http://127.0.0.1:8000/healthz"
# interval = "1s"

[services.hello.restart]
policy = "on-failure"                     # always, on-failure or never
initial = "100ms"                         # the first delay; it doubles
maximum = "30s"
max_restarts = 5                          # the breaker opens after more than this within the window
window = "60s"
"""


@click.command()
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
@click.argument("path", default="services.toml", metavar="[FILE]")
def init(path: str, force: bool) -> None:
    """Write a first services.toml, which runs as it is.

    Example: supervisor init"""
    try:
        with Path(path).open("w" if force else "x") as file:
            file.write(STARTER)
    except FileExistsError:
        raise OperationFailed(f"{path} exists already", "Give another name, or overwrite it with --force.") from None
    except OSError as error:
        raise OperationFailed(f"cannot write {path}: {error.strerror}") from None
    click.echo(f"{path} written; `supervisor check` explains it, `supervisor up` runs it")
