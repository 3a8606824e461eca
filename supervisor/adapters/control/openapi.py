"""`/openapi.json`: serves the OpenAPI document that `scripts/openapi` writes beside this file.

The file is read for each request, so that the daemon keeps nothing of it in memory.
"""

from __future__ import annotations

import os

from supervisor import own_sources
from supervisor.errors import OperationFailed

PATH = f"{os.path.dirname(__file__)}/openapi.json"  # noqa: PTH120 - pathlib costs


def document() -> bytes:
    """The document as JSON. Raises OperationFailed when it is not installed, or is another version's."""
    if own_sources.replaced():
        raise OperationFailed(own_sources.REPLACED)
    try:
        with open(PATH, "rb") as file:
            return file.read()
    except OSError as error:
        raise OperationFailed(f"{PATH} cannot be read: {error.strerror}") from None
