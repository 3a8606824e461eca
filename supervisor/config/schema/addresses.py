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
_ADDRESS = re.compile(_HOST + ":([0-9]{1,9})")
MARKS = ("{replica}", "{port}")
"""They stand for numbers (core/services/replica.py)."""
_PORTS = re.compile("([0-9]{1,9})(?:-([0-9]{1,9}))?")
_UNIX = r"unix:(@[!-9;-~]+|[!-9;-~]+)"
_URL = re.compile("https?://" + _HOST + "(?::([0-9]{1,9}))?(/[!-~]*)?")
_UNIX_URL = re.compile("http://" + _UNIX + "(?::(/[!-~]*))?")


def http(value: Any, info: ValidationInfo) -> str:
    """`http://host[:port]/path`, `https://…`, or `http://unix:SOCKET:/path` as nginx writes it."""
    url = expanded(value, info)
    require_url(with_numbers(url), url)
    return url


def require_url(url: str, written: str) -> None:
    """Raises ValueError for a URL that cannot be probed; `written`: as it stands in the file."""
    if _UNIX_URL.fullmatch(url):
        return
    match = _URL.fullmatch(url)
    if not match:
        raise ValueError(f"{quoted(written)} is not an http://host[:port]/path, https://… or http://unix:SOCKET:/path")
    port_number(match[2] or "80")


def tcp(value: Any, info: ValidationInfo) -> str:
    """`host:port`, or `unix:SOCKET`."""
    address = expanded(value, info)
    if re.fullmatch(_UNIX, address):
        return address
    if with_numbers(address) != address:
        require_address(with_numbers(address))
        return address
    return "{}:{}".format(*require_address(address))


def with_numbers(text: str) -> str:
    """`text` with a number in place of each mark, to check its form."""
    for mark in MARKS:
        text = text.replace(mark, "1")
    return text


def ports(value: Any, info: ValidationInfo) -> tuple[int, int]:
    """`FIRST-LAST`, or one port."""
    given = expanded(value, info)
    match = _PORTS.fullmatch(given)
    if not match:
        raise ValueError(f'{quoted(given)} is not a range of ports; write for example "18000-18031"')
    first, last = port_number(match[1]), port_number(match[2] or match[1])
    if last < first:
        raise ValueError(f'{quoted(given)} ends before it begins; write "{last}-{first}"')
    return first, last


def listen(value: Any) -> tuple[str, int]:
    host, number = require_address(text(value))
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


def require_address(value: str, example: int = 6379) -> tuple[str, int]:
    """The host and the port of `host:port`. Raises ValueError, which shows the port `example`."""
    match = _ADDRESS.fullmatch(value)
    if not match:
        wanted = f'"127.0.0.1:{example}" ([::1]:{example} for IPv6)'
        raise ValueError(f"{quoted(value)} is not an address; write for example {wanted}")
    return match[1], port_number(match[2])


def port_number(digits: str) -> int:
    """A TCP port. Raises ValueError outside 1 to 65535."""
    if not 1 <= int(digits) <= 65535:
        raise ValueError(f"{digits} is not a port: they go from 1 to 65535")
    return int(digits)
