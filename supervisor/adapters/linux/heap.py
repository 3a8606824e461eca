"""Gives memory that was freed back to the kernel.

The C library keeps what was freed between blocks that are in use.  After the start of a daemon that is a part of all
that was read, compiled and parsed once: half a MiB with a thousand services, and one and a half where Python had to
compile the modules.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress


def give_back() -> None:
    """Do so now.  Takes up to a few milliseconds; other C libraries than glibc do not have it, and need it less."""
    with suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
