"""The heads of the parts of an incident."""

from __future__ import annotations

PARTS = {
    "where": "Where it was",
    "seen": "What was seen",
    "captured": "What was captured",
    "output": "Its last output",
    "decided": "What was decided",
    "after": "How it went on",
}
