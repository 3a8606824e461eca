"""Puts what was measured into a file of the book, and leaves the rest of it as it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from json import dumps
from typing import Any

_SEEN = re.compile(r"^\[seen\]\n(?:(?!\[).*\n?)*", re.MULTILINE)


def put_seen(text: str, seen: Mapping[str, Any]) -> str:
    """`text` with its table [seen] replaced, or added at the end."""
    table = "[seen]\n" + "".join(f"{key} = {_value(value)}\n" for key, value in seen.items())
    rest = _SEEN.sub("", text).rstrip("\n")
    return f"{rest}\n\n{table}"


def _value(value: Any) -> str:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_value(inner)}" for key, inner in value.items()) + " }"
    return dumps(value, ensure_ascii=False)
