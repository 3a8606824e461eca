"""`detectors`: the group of `compare` and `tune`."""

from __future__ import annotations

import click

from supervisor.cli.detectors.compare import compare
from supervisor.cli.detectors.tune import tune
from supervisor.cli.options import CommandGroup


@click.group(cls=CommandGroup)
def detectors() -> None:
    """Compare failure detectors; recommend settings for a service.

    Example: supervisor detectors tune web"""


detectors.add_command(compare)
detectors.add_command(tune)
