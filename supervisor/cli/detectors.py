"""`detectors`: the group of `compare` and `tune`."""

from __future__ import annotations

import click

from supervisor.cli.compare import compare
from supervisor.cli.options import CommandGroup
from supervisor.cli.tune import tune


@click.group(cls=CommandGroup)
def detectors() -> None:
    """Compare failure detectors; recommend settings for a service.

    Example: supervisor detectors tune web"""


detectors.add_command(compare)
detectors.add_command(tune)
