"""Commands for HAProxy in lines that it takes: several commands go in one line, whose length has a limit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from supervisor.core.balancing.haproxy_config import words
from supervisor.core.balancing.slots import Command

LONGEST_LINE = 8000
"""Bytes of one line of commands: HAProxy takes no more than its buffer."""


def batches(service: str, commands: Iterable[Command]) -> Iterator[list[Command]]:
    """The commands of each line."""
    batch: list[Command] = []
    length = 0
    for command in commands:
        length += len(words(service, command)) + 1
        if batch and length > LONGEST_LINE:
            yield batch
            batch, length = [], len(words(service, command)) + 1
        batch.append(command)
    if batch:
        yield batch
