"""Returns freed memory to the kernel.

The C library keeps freed memory that lies between blocks in use.  A daemon frees much after its start, when it has
read, compiled and parsed its files: half a MiB with a thousand services, and one and a half where Python had to compile
the modules.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress


def give_back() -> None:
    """Return what can be returned; takes up to a few milliseconds.  Without glibc this does nothing."""
    with suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
