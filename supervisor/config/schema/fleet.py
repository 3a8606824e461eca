"""Readers for [fleet]: a word of ssh or a path of another host has no character that means something there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from supervisor.config.schema.values import expanded
from supervisor.config.units import quoted

if TYPE_CHECKING:
    from pydantic_core.core_schema import ValidationInfo

_ADDRESS = re.compile(r"[A-Za-z0-9_.:%][A-Za-z0-9_.:%-]{0,254}")
_USER = re.compile(r"[A-Za-z0-9_.\\][A-Za-z0-9_.\\$-]{0,99}")
_DIRECTORY = re.compile(r"[A-Za-z0-9_@+=:,./-]+")
LONGEST_DIRECTORY = 60
"""Bytes: the kernel reads 127 of the line that names an interpreter, and sockets lie below it."""


def address(value: Any, info: ValidationInfo) -> str:
    """A name, an address, or an alias of ssh's configuration; user and port have keys of their own."""
    given = expanded(value, info)
    if "@" in given:
        raise ValueError(f'{quoted(given)}: write the user as a key of its own: user = "{given.partition("@")[0]}"')
    if not _ADDRESS.fullmatch(given):
        raise ValueError(f'{quoted(given)} is not a host; write for example "10.0.0.1" or "db1.example.org"')
    if given.count(":") == 1:
        raise ValueError(f"{quoted(given)}: write the port as a key of its own: port = {given.partition(':')[2] or 22}")
    return given


def user(value: Any, info: ValidationInfo) -> str:
    """The name of an account on the host."""
    given = expanded(value, info)
    if not _USER.fullmatch(given):
        raise ValueError(f'{quoted(given)} is not the name of a user; write for example "ops"')
    return given


def directory(value: Any, info: ValidationInfo) -> str:
    """A directory of the host, in characters that a shell, a unit and an interpreter line take as they are."""
    given = expanded(value, info)
    parts = given.split("/")
    if not _DIRECTORY.fullmatch(given) or ".." in parts or given[0] == "-" or not given.strip("/."):
        raise ValueError(
            f'{quoted(given)} cannot be the directory; write for example "/opt/phi": letters, digits and '
            "_ @ + = : , . - alone, and no .."
        )
    if len(given) > LONGEST_DIRECTORY:
        raise ValueError(f"{quoted(given)} is too long: at most {LONGEST_DIRECTORY} characters")
    return "/".join(part for index, part in enumerate(parts) if part not in ("", ".") or index == 0).removeprefix("./")
