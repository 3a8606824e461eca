"""Command lines as they may be written down: with what looks like a secret left out.

An option or a variable whose name speaks of a password, a token or a key loses its value, a URL the password in it.
What gives no sign of being a secret is not known for one: secrets belong into the environment or into files.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

HIDDEN = "***"

_NAME = r"[\w.-]*(?:passw|passphrase|secret|token|api[_-]?key|private[_-]?key|credential|requirepass|masterauth)[\w.-]*"
_ASSIGNED = re.compile(rf"(-{{0,2}}{_NAME})=.*", re.IGNORECASE | re.DOTALL)
_OPTION = re.compile(rf"--?{_NAME}|requirepass|masterauth", re.IGNORECASE)
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://[^/\s:@]*):[^/\s@]+@")


def without_secrets(words: Sequence[str]) -> list[str]:
    """The words of a command line, fit to be kept."""
    found: list[str] = []
    follows = False
    for word in words:
        if follows and not word.startswith("--"):
            found.append(HIDDEN)
            follows = False
            continue
        follows = _OPTION.fullmatch(word) is not None
        assigned = _ASSIGNED.fullmatch(word)
        found.append(f"{assigned[1]}={HIDDEN}" if assigned else _URL.sub(rf"\1:{HIDDEN}@", word))
    return found
