"""Readers for [services.NAME.balance]: what goes into HAProxy's file has no character that means something there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from supervisor.config.schema.values import expanded, text
from supervisor.config.units import quoted
from supervisor.core.text.nearest import did_you_mean

if TYPE_CHECKING:
    from pydantic_core.core_schema import ValidationInfo

ALGORITHMS = ("roundrobin", "static-rr", "leastconn", "first", "source", "uri", "random")
_WITH_ARGUMENT = re.compile(r"(random|hdr|url_param)[ (][A-Za-z0-9_.-]+\)?")
_SERVER = re.compile(
    r"(\[[0-9A-Fa-f:.]+\]|[0-9]{1,3}(\.[0-9]{1,3}){3}|localhost):([0-9]{1,5}|[0-9]*\{(port|replica)\})"
)
_CHECK = re.compile(r"/[A-Za-z0-9_.~!&()*+,;=:@%/?-]*")


def algorithm(value: Any) -> str:
    """One of HAProxy's algorithms, with an argument where it takes one: `hdr(host)`."""
    word = text(value)
    if word in ALGORITHMS or _WITH_ARGUMENT.fullmatch(word):
        return word
    known = ", ".join((*ALGORITHMS, "hdr(NAME)"))
    raise ValueError(f"{quoted(word)} is not one of {known}{did_you_mean(word, ALGORITHMS)}")


def server(value: Any, info: ValidationInfo) -> str:
    """The address of an instance: a number and a port, or what stands for it."""
    given = expanded(value, info)
    if not _SERVER.fullmatch(given):
        raise ValueError(
            f'{quoted(given)} is not the address of an instance; write for example "127.0.0.1:{{port}}": '
            "a numeric address, and a port or {port} or {replica} in it"
        )
    return given.replace("localhost", "127.0.0.1")


def check(value: Any) -> str:
    """The path of a health check."""
    path = text(value)
    if not _CHECK.fullmatch(path):
        raise ValueError(f'{quoted(path)} is not a path to ask for; write for example "/healthz"')
    return path
