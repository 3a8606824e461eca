"""`/openapi.json`: the OpenAPI document that `scripts/openapi` made and wrote beside this file.

The file is read when the route is asked, so that the daemon holds nothing of it.
"""

from __future__ import annotations

import os

from supervisor.errors import OperationFailed

PATH = f"{os.path.dirname(__file__)}/openapi.json"  # noqa: PTH120 - pathlib costs


def document() -> bytes:
    """JSON.  OperationFailed: it is not installed."""
    try:
        with open(PATH, "rb") as file:
            return file.read()
    except OSError as error:
        raise OperationFailed(f"{PATH} cannot be read: {error.strerror}") from None
