"""Key paths: the position of a value in a TOML file, and how it is written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

Key = tuple[str | int, ...]
"""For example ("services", "web", "hooks", 0, "run")."""

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def dotted(key: Iterable[str | int]) -> str:
    """A key path as TOML spells it: services.web.hooks[0].run."""
    shown = ""
    for part in key:
        if isinstance(part, int):
            shown += f"[{part}]"
        else:
            bare = part if _BARE.fullmatch(part) else json.dumps(part[:100], ensure_ascii=False)
            shown += f".{bare}" if shown else bare
    return shown or "the file"
