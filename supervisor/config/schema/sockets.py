"""Sockets that the supervisor opens for services: their syntax, and checks for conflicts between them."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from supervisor.config.schema.addresses import port_number, with_numbers
from supervisor.config.schema.values import expanded
from supervisor.config.source.problems import Problems, Report
from supervisor.config.units import parse_duration, quoted
from supervisor.core.model.spec import ServiceSpec, ServiceType, SocketSpec
from supervisor.core.services.replica import for_instance
from supervisor.core.text.nearest import did_you_mean

if TYPE_CHECKING:
    from pydantic_core.core_schema import ValidationInfo

LONGEST_PATH = 107
"""Bytes of a Unix socket's path, or of an abstract name with its @."""

_TCP = re.compile(r"tcp://(?:\[[0-9A-Fa-f:.]+\]|[^/\[\]]*):[0-9]{1,5}")
_UNIX = re.compile(r"unix:(?://(?=/))?(.+)", re.DOTALL)
_LABEL = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_MODE = re.compile(r"0?[0-7]{3}")
_OPTIONS = ("mode", "name", "share", "start", "idle")
_ONLY = {"share": "reuseport", "start": "demand"}
"""Options that have one value."""
SHORTEST_IDLE = 1.0
"""Seconds; a service that is stopped sooner would be started and stopped all the time."""
_EVERY_ADDRESS = ("0.0.0.0", "[::]")


def listening(value: Any, info: ValidationInfo) -> SocketSpec:
    """`tcp://ADDRESS:PORT[?name=…]` or `unix:PATH[?mode=0660&name=…]`; a relative path stays relative.

    Both take `start=demand&idle=10m`, and TCP takes `share=reuseport`."""
    text = expanded(value, info)
    base, _, query = text.partition("?")
    options = _options(query)
    if _TCP.fullmatch(with_numbers(base)):
        spec = SocketSpec(url=_tcp(text, base))
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
    if "share" in options and not spec.url.startswith("tcp:"):
        raise ValueError(f"{quoted(text)}: only a TCP address can be shared by share=reuseport")
    if "idle" in options and "start" not in options:
        raise ValueError(f"{quoted(text)}: idle needs start=demand: nothing would start the service again")
    return replace(
        spec,
        label=options.get("name", ""),
        reuseport="share" in options,
        on_demand="start" in options,
        idle=_idle(options["idle"]) if "idle" in options else None,
    )


def _idle(text: str) -> float:
    seconds = parse_duration(text)
    if seconds < SHORTEST_IDLE:
        least = f"at least {SHORTEST_IDLE:g}s"
        raise ValueError(
            f"idle={text} is too short, {least}: the service would be stopped and started again all the time"
        )
    return seconds


def _options(query: str) -> dict[str, str]:
    found = dict(part.partition("=")[::2] for part in query.split("&")) if query else {}
    for name, value in found.items():
        if name not in _OPTIONS:
            raise ValueError(
                f"{quoted(name)} is not a socket option, only {', '.join(_OPTIONS)} are{did_you_mean(name, _OPTIONS)}"
            )
        if name in _ONLY and value != _ONLY[name]:
            raise ValueError(f"{name}={value} is not known; write {name}={_ONLY[name]}")
        if name == "mode" and not _MODE.fullmatch(value):
            raise ValueError(
                f'{quoted(value)} is not a mode; write three octal digits, for example "unix:/run/app.sock?mode=0660"'
            )
        if name == "name" and not _LABEL.fullmatch(value):
            raise ValueError(f"{quoted(value)} is not a valid socket name: use letters, digits and _ . -")
    return found


def _tcp(text: str, base: str) -> str:
    """The URL with its address in the form that the kernel gives; one with a mark in its address stays as it is."""
    host, _, port = base.removeprefix("tcp://").rpartition(":")
    number = with_numbers(port)
    port_number(number)
    port = port if port != number else str(int(port))
    plain = with_numbers(host).strip("[]")
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    try:
        packed = socket.inet_pton(family, "127.0.0.1" if plain == "localhost" else plain)
    except OSError:
        raise ValueError(
            f"{quoted(text)}: write an address, not a name, for example tcp://127.0.0.1:{port}, "
            f"or for all addresses: tcp://0.0.0.0:{port} and tcp://[::]:{port}"
        ) from None
    if with_numbers(host) == host:
        address = socket.inet_ntop(family, packed)
        host = address if family == socket.AF_INET else f"[{address}]"
    return f"tcp://{host}:{port}"


def absolute(spec: SocketSpec, folder: Path) -> SocketSpec:
    """`spec` with its path made absolute and normal. Raises ValueError if that is too long for a socket."""
    kind, _, path = spec.url.partition(":")
    if kind != "unix":
        return spec
    if not path.startswith("@"):
        path = os.path.normpath(folder / path)
    if len(os.fsencode(with_numbers(path))) > LONGEST_PATH:
        raise ValueError(f"{path} is too long for a socket: at most {LONGEST_PATH} bytes")
    return replace(spec, url=f"unix:{path}")


def judge_probes(spec: ServiceSpec, report: Report) -> None:
    """Report TCP probes of the service's own `sockets`: they succeed whatever the service does."""
    ours = {s.url for s in spec.sockets}
    for table, probed in (("ready", spec.ready), ("heartbeat", spec.heartbeat)):
        if probed is not None and probed.tcp is not None and tcp_url(probed.tcp) in ours:
            report(
                f"{probed.tcp} is one of `sockets`: the daemon holds it open, so that it always accepts; "
                "use http, exec or notify",
                table,
                "tcp",
            )


def judge_demand(spec: ServiceSpec, report: Report) -> None:
    """Report what cannot start on demand: a job, which is not there to be connected to, and what a balancer asks."""
    for index in (i for i, one in enumerate(spec.sockets) if one.on_demand):
        if spec.type is ServiceType.ONESHOT:
            report("a oneshot cannot start on demand: it runs once and accepts no connections", "sockets", index)
        if spec.balance is not None:
            report("a service with `balance` cannot start on demand: the balancer always connects", "sockets", index)


def judge_sockets(specs: Mapping[str, ServiceSpec], listen: tuple[str, int] | None, problems: Problems) -> None:
    """Report sockets that overlap. Only a service and its fallback may share one, because they never run together.

    `listen` is the address on which the supervisor itself listens.
    """
    taken: dict[str, dict[str, str]] = {}  # a socket can only overlap one of the same place
    if listen is not None:
        url = own_url(listen)
        taken[_place(url)] = {url: ""}
    for name, spec in specs.items():
        for index in range(len(spec.sockets)):
            conflict = ""
            for wanted in urls(spec, index):
                there = taken.setdefault(_place(wanted), {})
                conflict = conflict or _conflict(specs, name, wanted, there)
                there.setdefault(wanted, name)
            if conflict:
                problems.of(name)(conflict, "sockets", index)


def urls(spec: ServiceSpec, index: int) -> Iterator[str]:
    """The URLs of one of `sockets`: one for each instance where they differ."""
    url = spec.sockets[index].url
    if with_numbers(url) == url:
        yield url
        return
    only = replace(spec, command=(), environment=(), sockets=(spec.sockets[index],), ready=None, heartbeat=None)
    for instance in spec.instances:
        yield for_instance(only, instance).sockets[0].url


def own_url(listen: tuple[str, int]) -> str:
    """The URL of the address on which the supervisor itself listens."""
    host, port = listen
    return tcp_url(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")


def _conflict(specs: Mapping[str, ServiceSpec], name: str, wanted: str, taken: Mapping[str, str]) -> str:
    """Why the service `name` cannot have the socket `wanted`; empty where it can."""
    for url, owner in taken.items():
        if not _overlap(url, wanted) or (url == wanted and _take_turns(specs, owner, name)):
            continue
        whose = "the daemon itself (supervisor.http.listen)"
        if owner:
            whose = "this service" if owner == name else f'"{owner}"'
        return f"{wanted} is taken: {whose} listens on {url}"
    return ""


def _place(url: str) -> str:
    """The same for all sockets that may overlap one: of TCP, the port."""
    return url.rpartition(":")[2] if url.startswith("tcp:") else url


def tcp_url(address: str) -> str:
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
