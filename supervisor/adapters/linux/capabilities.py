"""Sets the capabilities(7) of the calling thread, by number, and of the programs that it executes.

Only the calling thread changes, and what is given up cannot be regained: call these in a child before its exec.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Collection

_PR_SET_KEEPCAPS = 8
_PR_CAPBSET_READ = 23
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)
_libc_prctl, _capget, _capset = _libc.prctl, _libc.capget, _libc.capset
"""Looked up here because a forked child must not: another thread may have held the dynamic linker's lock."""
_long = ctypes.c_ulong


def no_new_privileges() -> None:
    """Make setuid programs and file capabilities powerless: no exec can add privileges from now on."""
    _check(_prctl(_PR_SET_NO_NEW_PRIVS, 1))


def limit_bounding_set(kept: Collection[int]) -> None:
    """Drop every capability that is not in `kept` from the bounding and the inheritable set, for ever."""
    for number in range(64):
        present = _prctl(_PR_CAPBSET_READ, number)
        if present < 0:  # beyond the kernel's last capability
            break
        if present and number not in kept:
            _check(_prctl(_PR_CAPBSET_DROP, number))
    effective, permitted, inheritable = _get()
    _set(effective, permitted, inheritable & _mask(kept))


def keep_capabilities_over_setuid() -> None:
    """Keep the permitted capabilities when the user changes from root to another."""
    _check(_prctl(_PR_SET_KEEPCAPS, 1))


def make_ambient(numbers: Collection[int]) -> None:
    """Keep exactly these capabilities, also over the exec of a program without file capabilities."""
    mask = _mask(numbers)
    _set(mask, mask, mask)
    for number in numbers:
        _check(_prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, number))


def _mask(numbers: Collection[int]) -> int:
    return sum(1 << number for number in set(numbers))


def _prctl(*words: int) -> int:
    return int(_libc_prctl(words[0], *(_long(word) for word in (*words[1:], 0, 0, 0, 0)[:4])))


_Sets = ctypes.c_uint32 * 6  # effective, permitted, inheritable of capabilities 0 to 31; then of 32 to 63


def _header() -> ctypes.Array[ctypes.c_uint32]:
    return (ctypes.c_uint32 * 2)(_VERSION_3, 0)


def _get() -> tuple[int, int, int]:
    sets = _Sets()
    _check(_capget(_header(), sets))
    effective, permitted, inheritable = (sets[i] | sets[i + 3] << 32 for i in range(3))
    return effective, permitted, inheritable


def _set(effective: int, permitted: int, inheritable: int) -> None:
    three = (effective, permitted, inheritable)
    _check(_capset(_header(), _Sets(*(m & 0xFFFFFFFF for m in three), *(m >> 32 for m in three))))


def _check(result: int) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
