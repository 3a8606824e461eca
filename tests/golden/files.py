"""The golden files of commit 5600521, and how they are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).parent / "5600521"
ID, EPOCH = (GOLDEN / "id").read_text().split()
"""What stands for the supervisor's id and for the boot in all of them."""


def golden(name: str) -> Any:
    """A golden file that is JSON."""
    return json.loads((GOLDEN / name).read_text())


def plain(value: object) -> Any:
    """The value as it comes back from JSON."""
    return json.loads(json.dumps(value))
