"""Sockets that the supervisor opens for services: their syntax, and checks for conflicts between them."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from supervisor.config.schema.values import expanded
from supervisor.config.source.problems import Problems, Report
from supervisor.config.units import quoted
from supervisor.core.model.spec import ServiceSpec, SocketSpec
from supervisor.core.text.nearest import did_you_mean

if TYPE_CHECKING:
    from pydantic_core.core_schema import ValidationInfo

LONGEST_PATH = 107
"""Bytes of a Unix socket's path, or of an abstract name with its @."""

_TCP = re.compile(r"tcp://(?:\[([0-9A-Fa-f:.]+)\]|([^/\[\]]*)):([0-9]{1,5})")
_UNIX = re.compile(r"unix:(?://(?=/))?(.+)", re.DOTALL)
_LABEL = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_MODE = re.compile(r"0?[0-7]{3}")
_EVERY_ADDRESS = ("0.0.0.0", "[::]")


def listening(value: Any, info: ValidationInfo) -> SocketSpec:
    """`tcp://ADDRESS:PORT[?name=…]` or `unix:PATH[?mode=0660&name=…]`; a relative path stays relative."""
    text = expanded(value, info)
    base, _, query = text.partition("?")
    options = _options(query)
    if match := _TCP.fullmatch(base):
        spec = SocketSpec(url=_tcp(text, match[1], match[2], int(match[3])))
    elif match := _UNIX.fullmatch(base):
        spec = SocketSpec(url=f"unix:{match[1]}")
    else:
        raise ValueError(
            f'{quoted(text)} is not a socket; write for example "tcp://127.0.0.1:8000", "tcp://[::1]:8000" '
            'or "unix:/run/app.sock"'
        )
    if "mode" in options:
        if not spec.url.startswith("unix:") or spec.url.startswith("unix:@"):
            raise ValueError(f"{quoted(text)}: only a path can have a mode")
        spec = replace(spec, mode=int(options["mode"], 8))
    return replace(spec, label=options.get("name", ""))


def _options(query: str) -> dict[str, str]:
    found = dict(part.partition("=")[::2] for part in query.split("&")) if query else {}
    for name, value in found.items():
        if name not in ("mode", "name"):
            raise ValueError(
                f"{quoted(name)} is not a socket option, only mode and name are{did_you_mean(name, ('mode', 'name'))}"
            )
        if name == "mode" and not _MODE.fullmatch(value):
            raise ValueError(
                f'{quoted(value)} is not a mode; write three octal digits, for example "unix:/run/app.sock?mode=0660"'
            )
        if name == "name" and not _LABEL.fullmatch(value):
            raise ValueError(f"{quoted(value)} is not a valid socket name: use letters, digits and _ . -")
    return found


def _tcp(text: str, ipv6: str | None, ipv4: str, port: int) -> str:
    if not 1 <= port <= 65535:
        raise ValueError(f"{port} is not a port: they go from 1 to 65535")
    family = socket.AF_INET if ipv6 is None else socket.AF_INET6
    try:
        packed = socket.inet_pton(family, "127.0.0.1" if ipv4 == "localhost" else ipv6 or ipv4)
    except OSError:
        raise ValueError(
            f"{quoted(text)}: write an address, not a name, for example tcp://127.0.0.1:{port}, "
            f"or for all addresses: tcp://0.0.0.0:{port} and tcp://[::]:{port}"
        ) from None
    address = socket.inet_ntop(family, packed)
    return f"tcp://{address}:{port}" if ipv6 is None else f"tcp://[{address}]:{port}"


def absolute(spec: SocketSpec, folder: Path) -> SocketSpec:
    """`spec` with its path made absolute and normal. Raises ValueError if that is too long for a socket."""
    kind, _, path = spec.url.partition(":")
    if kind != "unix":
        return spec
    if not path.startswith("@"):
        path = os.path.normpath(folder / path)
    if len(os.fsencode(path)) > LONGEST_PATH:
        raise ValueError(f"{path} is too long for a socket: at most {LONGEST_PATH} bytes")
    return replace(spec, url=f"unix:{path}")


def judge_probes(spec: ServiceSpec, report: Report) -> None:
    """Report TCP probes of the service's own `sockets`: they succeed whatever the service does."""
    ours = {s.url for s in spec.sockets}
    for table, probed in (("ready", spec.ready), ("heartbeat", spec.heartbeat)):
        if probed is not None and probed.tcp is not None and _tcp_url(probed.tcp) in ours:
            report(
                f"{probed.tcp} is one of `sockets`: the daemon holds it open, so that it always accepts; "
                "use http, exec or notify",
                table,
                "tcp",
            )


def judge_sockets(specs: Mapping[str, ServiceSpec], listen: tuple[str, int] | None, problems: Problems) -> None:
    """Report sockets that overlap. Only a service and its fallback may share one, because they never run together.

    `listen` is the address on which the supervisor itself listens.
    """
    taken: dict[str, str] = {}
    if listen is not None:
        host, port = listen
        taken[_tcp_url(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")] = ""
    for name, spec in specs.items():
        for index, wanted in enumerate(spec.sockets):
            for url, owner in taken.items():
                if not _overlap(url, wanted.url) or (url == wanted.url and _take_turns(specs, owner, name)):
                    continue
                whose = "the daemon itself (supervisor.http.listen)"
                if owner:
                    whose = "this service" if owner == name else f'"{owner}"'
                problems.of(name)(f"{wanted.url} is taken: {whose} listens on {url}", "sockets", index)
                break
            taken.setdefault(wanted.url, name)


def _tcp_url(address: str) -> str:
    return f"tcp://{address.replace('localhost', '127.0.0.1')}"


def _take_turns(specs: Mapping[str, ServiceSpec], one: str, other: str) -> bool:
    return one in specs and (specs[one].restart.fallback == other or specs[other].restart.fallback == one)


def _overlap(one: str, other: str) -> bool:
    if one == other:
        return True
    if not one.startswith("tcp:") or not other.startswith("tcp:"):
        return False
    (here, port), (there, other_port) = (url.removeprefix("tcp://").rsplit(":", 1) for url in (one, other))
    if port != other_port or ("[" in here) != ("[" in there):
        return False
    return here in _EVERY_ADDRESS or there in _EVERY_ADDRESS
