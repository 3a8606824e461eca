"""`detectors`: the group of `compare` and `tune`."""

from __future__ import annotations

import click

from supervisor.cli.compare import compare
from supervisor.cli.tune import tune


@click.group(short_help="Compare failure detectors; recommend settings for a service.")
def detectors() -> None:
    """Compare failure detectors, and recommend settings for a service."""


detectors.add_command(compare)
detectors.add_command(tune)
