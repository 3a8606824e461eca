"""The names of units, the specifiers such as `%i` within them, and the manager that runs them (systemd 252)."""

from __future__ import annotations

import os
import platform
import pwd
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_ESCAPED = re.compile(r"\\x([0-9a-fA-F]{2})")
_SPECIFIER = re.compile(r"%(.)", re.DOTALL)
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""What a unit's PATH is unless it has another, with /sbin apart from /usr/sbin as Debian 12 builds it."""
LOCALES = ("/etc/locale.conf", "/etc/default/locale")
_LANG = "C.UTF-8"
_NO_HOME = ("/nonexistent", "/dev/null", "/")
SYSTEM_FOLDERS = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
"""Where a unit of the system and its drop-ins may lie, the first one counting most."""


class UnknownSpecifier(ValueError):
    """systemd has no such specifier, and does not take the value."""


def home_of(account: str) -> str | None:
    """The home directory of an account, by name or number, None where there is no such account or no home."""
    try:
        entry = pwd.getpwuid(int(account)) if account.isdecimal() else pwd.getpwnam(account)
    except (KeyError, OverflowError):
        return None
    return entry.pw_dir if entry.pw_dir not in _NO_HOME else None


def locale_of_host() -> dict[str, str]:
    """LANG and LC_… as the manager gives them to all units."""
    for path in map(Path, LOCALES):
        try:
            lines = path.read_text().splitlines()
        except (OSError, UnicodeDecodeError):
            continue
        pairs = (line.strip().partition("=")[::2] for line in lines if not line.lstrip().startswith("#"))
        found = {name: value.strip("\"'") for name, value in pairs if name.startswith(("LANG", "LC_"))}
        if found:
            return found
    return {"LANG": _LANG}


def _architecture() -> str:
    machine = platform.machine()
    return {"x86_64": "x86-64", "aarch64": "arm64", "i686": "x86"}.get(machine, machine)


def _release(key: str) -> str:
    try:
        return platform.freedesktop_os_release().get(key, "")
    except OSError:
        return ""


def _identity(path: str) -> str:
    try:
        return Path(path).read_text().strip().replace("-", "")
    except OSError:
        return ""


_FACTS: dict[str, Callable[[], str]] = {
    "a": _architecture,
    "b": lambda: _identity("/proc/sys/kernel/random/boot_id"),
    "m": lambda: _identity("/etc/machine-id"),
    "o": lambda: _release("ID"),
    "w": lambda: _release("VERSION_ID"),
    "W": lambda: _release("VARIANT_ID"),
    "B": lambda: _release("BUILD_ID"),
    "A": lambda: _release("IMAGE_VERSION"),
    "M": lambda: _release("IMAGE_ID"),
}
"""Specifiers whose value only this host has."""


@dataclass(frozen=True)
class Manager:
    """The manager that would run the units, and its host: what specifiers and the environment of a unit come from.

    `variables` is what every unit gets. `account` is the manager's own: its specifiers do not follow `User=`.
    """

    home: str = "/root"
    account: str = "root"
    uid: int = 0
    shell: str = "/bin/sh"
    runtime: str = "/run"
    state: str = "/var/lib"
    cache: str = "/var/cache"
    logs: str = "/var/log"
    settings: str = "/etc"
    host: str = field(default_factory=platform.node)
    kernel: str = field(default_factory=platform.release)
    variables: Mapping[str, str] = field(default_factory=lambda: {"PATH": PATH, **locale_of_host()})
    home_of: Callable[[str], str | None] = home_of
    folders: tuple[str, ...] = SYSTEM_FOLDERS


@dataclass(frozen=True)
class UnitName:
    """The name of a unit, such as `web@8001.service`. `instance` is None for one without `@`."""

    full: str
    prefix: str
    instance: str | None
    kind: str

    @classmethod
    def of(cls, name: str) -> UnitName:
        """Take the name of a file apart."""
        stem, _, kind = name.rpartition(".")
        prefix, at, instance = stem.partition("@")
        return cls(name, prefix, instance if at else None, kind)

    @property
    def template(self) -> str:
        """The name of the file from which the instance is made."""
        return f"{self.prefix}@.{self.kind}"

    @property
    def stem(self) -> str:
        """The name without its kind."""
        return self.full.rpartition(".")[0]


def unescaped(text: str) -> str:
    """As `systemd-escape --unescape` has it: `-` is a slash."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text.replace("-", "/"))


def expand(text: str, unit: UnitName, manager: Manager, source: Path) -> str:
    """Replace the specifiers in `text`. Raises UnknownSpecifier for one that systemd does not have."""

    def value(match: re.Match[str]) -> str:
        letter = match[1]
        if letter == "%":
            return "%"
        known = _values(unit, manager, source)
        if letter in known:
            return known[letter]
        if letter in _FACTS:
            return _FACTS[letter]()
        if letter.isascii() and letter.isalnum():
            raise UnknownSpecifier(f"has the specifier %{letter}, which has no value here")
        return match[0]

    return _SPECIFIER.sub(value, text) if "%" in text else text


def _values(unit: UnitName, manager: Manager, source: Path) -> dict[str, str]:
    instance, last = unit.instance or "", unit.prefix.rpartition("-")[2]
    path = unescaped(unit.instance if unit.instance else unit.prefix)
    return {
        "n": unit.full,
        "N": unit.stem,
        "p": unit.prefix,
        "P": unescaped(unit.prefix),
        "i": instance,
        "I": unescaped(instance),
        "j": last,
        "J": unescaped(last),
        "f": path if path.startswith("/") else f"/{path}",
        "t": manager.runtime,
        "S": manager.state,
        "C": manager.cache,
        "L": manager.logs,
        "E": manager.settings,
        "h": manager.home,
        "u": manager.account,
        "U": str(manager.uid),
        "g": manager.account,
        "G": str(manager.uid),
        "s": manager.shell,
        "T": "/tmp",
        "V": "/var/tmp",
        "y": str(source),
        "Y": os.path.dirname(source),  # noqa: PTH120 - a text
        "H": manager.host,
        "l": manager.host.partition(".")[0],
        "q": manager.host,
        "v": manager.kernel,
        "d": f"{manager.runtime}/credentials/{unit.full}",
    }
