"""Removes secrets from command lines before they are recorded or shown.

The value of an option or variable named like a password, a token or a key is replaced, and the password in a URL.
A secret without such a sign is not recognised: secrets belong in the environment or in files.
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
    """The words of a command line, with HIDDEN for every value that looks like a secret."""
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
