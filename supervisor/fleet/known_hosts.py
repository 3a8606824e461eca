"""The host keys that ssh knows, and the place of the line that contradicts a host.

The files are read here, because paramiko refuses a whole file for one line that begins with a mark such as
@cert-authority, and does not know patterns.
"""

from __future__ import annotations

import base64
import fnmatch
import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paramiko import HostKeys, MissingHostKeyPolicy, PKey

from supervisor.fleet.problems import HostProblem, Kind

USER_FILES = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")
SYSTEM_FILES = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")
SSH_PORT = 22


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a file with known keys.  `mark`: `@revoked`, `@cert-authority` or empty; `key`: in base64."""

    path: Path
    number: int
    mark: str
    kind: str
    key: str


def name(host: str, port: int) -> str:
    """How the files name a host."""
    return host if port == SSH_PORT else f"[{host}]:{port}"


def files(configuration: dict[str, Any]) -> list[Path]:
    """The files with known keys that ssh's configuration names for a host, or the usual ones; those that exist."""
    user = _words(configuration.get("userknownhostsfile")) or USER_FILES
    system = _words(configuration.get("globalknownhostsfile")) or SYSTEM_FILES
    paths = (Path(os.path.expanduser(name)) for name in (*user, *system) if name != "none")  # noqa: PTH111
    return [path for path in paths if path.is_file()]


def _words(value: object) -> Sequence[str]:
    return value.split() if isinstance(value, str) else ()


def lines_of(hostname: str, paths: Sequence[Path]) -> Iterator[Line]:
    """The lines that name a host: by its name, hashed, or by a pattern."""
    for path in paths:
        for number, text in enumerate(path.read_text(errors="replace").splitlines(), 1):
            words = text.split()
            mark = words.pop(0) if words and words[0].startswith("@") else ""
            if len(words) >= 3 and not words[0].startswith("#") and _names(words[0].split(","), hostname):
                yield Line(path, number, mark, words[1], words[2])


def _names(patterns: Sequence[str], hostname: str) -> bool:
    if any(pattern.startswith("!") and _matches(pattern[1:], hostname) for pattern in patterns):
        return False
    return any(_matches(pattern, hostname) for pattern in patterns)


def _matches(pattern: str, hostname: str) -> bool:
    if pattern.startswith("|1|"):
        return bool(HostKeys.hash_host(hostname, pattern) == pattern)
    literal = pattern.replace("[", "[[]")  # of a shell's patterns, ssh knows * and ? alone
    return fnmatch.fnmatchcase(hostname.lower(), literal.lower())


def keys_of(hostname: str, paths: Sequence[Path]) -> Iterator[PKey]:
    """The keys that a host may show; those of kinds that paramiko does not know are left out."""
    for line in lines_of(hostname, paths):
        if not line.mark:
            try:
                yield PKey.from_type_string(line.kind, base64.b64decode(line.key))
            except Exception:  # noqa: BLE001 - a key that is no key is one that is not known
                continue


def is_revoked(hostname: str, key: PKey, paths: Sequence[Path]) -> bool:
    """Whether a line marks this key as revoked."""
    return any(line.mark == "@revoked" and line.key == key.get_base64() for line in lines_of(hostname, paths))


def fingerprint(key: PKey) -> str:
    """`ssh-ed25519 SHA256:…`, as ssh prints it."""
    digest = base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")
    return f"{key.get_name()} SHA256:{digest}"


def changed(hostname: str, key: PKey, paths: Sequence[Path]) -> HostProblem:
    """The host shows another key than the one that is known."""
    known = [line for line in lines_of(hostname, paths) if not line.mark]
    same = [line for line in known if line.kind == key.get_name()] or known
    where = ", ".join(f"{line.path}:{line.number}" for line in same)
    return HostProblem(
        Kind.CHANGED_KEY,
        f"the host key has changed: it shows {fingerprint(key)}, and {where} has another",
        "If the host was installed again, compare the fingerprint on its console and remove that line: "
        f"ssh-keygen -R '{hostname}'.  Else another machine answers at this address.",
    )


class RefuseUnknown(MissingHostKeyPolicy):  # type: ignore[misc]  # paramiko has no types
    """Refuses a host of which no key is known, and says how it gets known."""

    def missing_host_key(self, client: Any, hostname: str, key: PKey) -> None:
        host, _, port = hostname.removeprefix("[").partition("]:")
        scan = f"ssh-keyscan{f' -p {port}' if port else ''} {host} >> ~/.ssh/known_hosts"
        raise HostProblem(
            Kind.UNKNOWN_KEY,
            f"the host key is not known: {hostname} shows {fingerprint(key)}",
            f"Compare the fingerprint on the host's console, then: {scan}",
        )
