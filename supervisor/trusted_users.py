"""The users whom SUPERVISOR_TRUSTED_USERS names: their files may be run as root, and their daemons may be talked to."""

from __future__ import annotations

import os
from contextlib import suppress

VARIABLE = "SUPERVISOR_TRUSTED_USERS"
"""Users, by name or number, separated by commas: for files mounted into a container."""


def trusted_users() -> frozenset[int]:
    """Their numbers, and root's.  Names that the user database does not have are skipped."""
    found = {0}
    for word in filter(None, map(str.strip, os.environ.get(VARIABLE, "").split(","))):
        if word.isdecimal():
            found.add(int(word))
        else:
            import pwd  # seldom needed

            with suppress(KeyError):
                found.add(pwd.getpwnam(word).pw_uid)
    return frozenset(found)
