"""`detectors`: failure detectors, judged."""

from __future__ import annotations

import click

from supervisor.cli.compare import compare
from supervisor.cli.tune import tune


@click.group(short_help="Compare failure detectors; tune a service's.")
def detectors() -> None:
    """Failure detectors: which one to take, and how to set it."""


detectors.add_command(compare)
detectors.add_command(tune)
