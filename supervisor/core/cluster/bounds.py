"""How much a host keeps in ZooKeeper of itself, and the form in which that is measured, written and read."""

from __future__ import annotations

import json
from typing import Any

PACKET = 256 * 1024
"""Bytes of one message between agent and daemon (budget.py)."""
LABELS_BYTES = 4 * 1024
"""Of the labels of a host as JSON.  With its balanced instances, 80 KiB at most, `members/HOST` then stays far below
the 1 MiB that a node may have."""
STATUS_BYTES, INCIDENTS_BYTES = 16 * 1024, 64 * 1024
"""Of `status/HOST` and `incidents/HOST`; a node of ZooKeeper may have 1 MiB."""


def read(text: str) -> Any:
    """JSON that another member has written, in plain numbers and texts.  ValueError where it is none, or too deep."""
    try:
        found = json.loads(text, parse_constant=_refused)
        if "\\ud" in text or "\\uD" in text:  # halves of characters can neither be written nor sent on
            json.dumps(found, ensure_ascii=False).encode()
    except RecursionError as error:
        raise ValueError("it is too deep") from error
    return found


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


def compact(value: object) -> str:
    """JSON in ASCII, so that its length is that of its bytes; the same for the same content."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
