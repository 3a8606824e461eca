"""Readers for [cluster] and placement: connect string, names of hosts, labels."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from supervisor.config.schema.addresses import require_address
from supervisor.config.schema.values import expanded, text
from supervisor.config.units import quoted

if TYPE_CHECKING:
    from pydantic_core.core_schema import ValidationInfo

_NODE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_CHROOT = re.compile(r"(/[A-Za-z0-9_.-]+)*")


def hosts(value: Any, info: ValidationInfo) -> str:
    """ZooKeeper's connect string."""
    given = expanded(value, info)
    servers, slash, chroot = given.partition("/")
    if not _CHROOT.fullmatch(slash + chroot):
        raise ValueError(f'{quoted(given)} ends in what is no path of nodes; write for example "a:2181,b:2181/phi"')
    for server in servers.split(","):
        require_address(server, 2181)
    return given


def node(value: Any, info: ValidationInfo) -> str:
    """The name of a member: it is part of a node's path."""
    given = expanded(value, info)
    if not _NODE.fullmatch(given):
        raise ValueError(f"{quoted(given)} is no name of a host: letters, digits, dots, dashes and underscores")
    return given


def member_address(value: Any, info: ValidationInfo) -> tuple[str, int]:
    """host:port that other hosts can reach."""
    return require_address(expanded(value, info))


def label(value: Any) -> str:
    """The name of a label."""
    word = text(value)
    if not _NODE.fullmatch(word):
        raise ValueError(f"{quoted(word)} is no name of a label: letters, digits, dots, dashes and underscores")
    return word


def label_value(value: Any, info: ValidationInfo) -> str:
    """Any text in one line."""
    given = expanded(value, info)
    if not given or not given.isprintable():
        raise ValueError(f"{quoted(given)} is no value of a label: it is empty or has control characters")
    return given
