"""Descriptors that outlive the daemon that opened them: handed over in an upgrade, or kept by systemd meanwhile.

Each has a name, such as `lock` or `fifo:web@2`.  In the environment and in systemd's store names may not hold the
characters that separate them, so everything but letters, digits and a few signs is written as %XX.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, MutableMapping
from contextlib import suppress

HANDOVER = "SUPERVISOR_HANDOVER"
FIRST = 3
"""The first descriptor that systemd passes."""
LONGEST_NAME = 255

_UNSAFE = re.compile(rb"[^A-Za-z0-9@._/\[\]-]")
_ESCAPED = re.compile(rb"%([0-9A-F]{2})")


def quoted(name: str) -> str:
    """The name as it may stand in FDNAME= and in a list."""
    return _UNSAFE.sub(lambda m: b"%%%02X" % m[0][0], os.fsencode(name)).decode()


def unquoted(text: str) -> str:
    return os.fsdecode(_ESCAPED.sub(lambda m: bytes([int(m[1], 16)]), os.fsencode(text)))


def handover(descriptors: Mapping[str, int]) -> str:
    """The value of SUPERVISOR_HANDOVER for a successor in this process; makes the descriptors survive its exec."""
    for fd in descriptors.values():
        os.set_inheritable(fd, True)
    return ",".join(f"{quoted(name)}:{fd}" for name, fd in descriptors.items())


def inherited(environ: MutableMapping[str, str]) -> dict[str, int]:
    """What was kept for us, by name; taken out of the environment, and closed in our children from now on.

    What cannot be used is closed; of two descriptors of one name the first is."""
    found: dict[str, int] = {}
    pairs = [*_handed_over(environ.pop(HANDOVER, "")), *_from_store(environ)]
    for name, fd in pairs:
        with suppress(OSError):
            os.set_inheritable(fd, False)
            if name in found:
                os.close(fd)
            else:
                found[name] = fd
    return found


def _handed_over(text: str) -> list[tuple[str, int]]:
    pairs = (item.rpartition(":") for item in text.split(",") if item)
    return [(unquoted(name), int(fd)) for name, _, fd in pairs if fd.isdecimal()]


def _from_store(environ: MutableMapping[str, str]) -> list[tuple[str, int]]:
    """systemd's protocol: LISTEN_FDS descriptors from 3 on, if LISTEN_PID is us."""
    pid, count, names = (environ.pop(f"LISTEN_{what}", "") for what in ("PID", "FDS", "FDNAMES"))
    if pid != str(os.getpid()) or not count.isdecimal():
        return []
    given = names.split(":") if names else []
    return [
        (unquoted(given[n]) if n < len(given) else f"unknown-{n}", FIRST + n) for n in range(min(int(count), 65536))
    ]
