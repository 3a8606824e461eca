"""Readers of URLs, addresses and patterns: what is probed, listened on or searched for."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING, Any

from supervisor.config.schema.values import expanded, text
from supervisor.config.units import quoted

if TYPE_CHECKING:
    from pydantic_core.core_schema import ValidationInfo

_HOST = r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)"
_ADDRESS = re.compile(_HOST + ":([0-9]{1,5})")
_REPLICA = "{replica}"
"""Stands for a number (core/services/replica.py)."""
_UNIX = r"unix:(@[!-9;-~]+|[!-9;-~]+)"
_URL = re.compile("https?://" + _HOST + "(?::([0-9]{1,5}))?(/[!-~]*)?")
_UNIX_URL = re.compile("http://" + _UNIX + "(?::(/[!-~]*))?")


def http(value: Any, info: ValidationInfo) -> str:
    """`http://host[:port]/path`, `https://…`, or `http://unix:SOCKET:/path` as nginx writes it."""
    url = expanded(value, info)
    of_first = url.replace(_REPLICA, "1")
    if _UNIX_URL.fullmatch(of_first):
        return url
    match = _URL.fullmatch(of_first)
    if not match:
        raise ValueError(f"{quoted(url)} is not an http://host[:port]/path, https://… or http://unix:SOCKET:/path")
    _port(match[2] or "80")
    return url


def tcp(value: Any, info: ValidationInfo) -> str:
    """`host:port`, or `unix:SOCKET`."""
    address = expanded(value, info)
    if re.fullmatch(_UNIX, address):
        return address
    if _REPLICA in address:
        _address(address.replace(_REPLICA, "1"))
        return address
    return "{}:{}".format(*_address(address))


def listen(value: Any) -> tuple[str, int]:
    host, number = _address(text(value))
    return host.strip("[]"), number


def pattern(value: Any) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(text(value))
            re.compile(value.encode())  # the output of services is searched as bytes
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"{quoted(value)} is not a regular expression: {error}") from None
    return str(value)


def _address(value: str) -> tuple[str, int]:
    match = _ADDRESS.fullmatch(value)
    if not match:
        raise ValueError(f'{quoted(value)} is not an address; write for example "127.0.0.1:6379" ([::1]:6379 for IPv6)')
    return match[1], _port(match[2])


def _port(digits: str) -> int:
    """A TCP port. Raises ValueError outside 1 to 65535."""
    if not 1 <= int(digits) <= 65535:
        raise ValueError(f"{digits} is not a port: they go from 1 to 65535")
    return int(digits)
