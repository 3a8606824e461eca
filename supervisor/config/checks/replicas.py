"""Checks of what the instances of a service do not share: their ports, and what `{replica}` and `{port}` make."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace

from supervisor.config.schema.addresses import port_number, require_address, require_url, with_numbers
from supervisor.config.schema.sockets import LONGEST_PATH, own_url, urls
from supervisor.config.source.problems import Problems, Report
from supervisor.core.model.spec import ServiceSpec
from supervisor.core.services.replica import PORT, for_instance, texts
from supervisor.core.services.scaling import port_count, surge_of


def judge_replicas(spec: ServiceSpec, report: Report) -> None:
    """Report what cannot be: `min_ready`, too few ports, `{port}` without any, and what is no address with the numbers
    of the last instance."""
    if spec.min_ready is not None and spec.min_ready > spec.replicas:
        report(f"{spec.min_ready} is more than replicas, {spec.replicas}", "min_ready")
    if spec.ports is not None:
        there = port_count(spec.ports)
        surge = surge_of(spec.rollout, spec.replicas)
        if spec.replicas + surge > there:
            count = f"{there} port{'' if there == 1 else 's'}"
            beside = f" and {surge} more during a rollout (max_surge)" if surge else ""
            report(f"{_range(spec.ports)}: {count} for {spec.replicas} instances{beside}", "ports")
            return
    elif without := dict.fromkeys(key for key, text in texts(spec) if PORT in text):
        for key in without:
            report(
                f'{PORT} stands for a port of `ports`, which is not given; write for example ports = "18000-18031"',
                *key,
            )
        return
    _addresses(spec, report)


def judge_ports(specs: Mapping[str, ServiceSpec], listen: tuple[str, int] | None, problems: Problems) -> None:
    """Report ranges that overlap, and what else listens on a port of one."""
    ranges: list[tuple[int, int, str]] = []
    for name, spec in specs.items():
        if spec.ports is None:
            continue
        for first, last, other in ranges:
            if first <= spec.ports[1] and spec.ports[0] <= last:
                problems.of(name)(f'{_range(spec.ports)} overlaps {_range((first, last))} of "{other}"', "ports")
                break
        ranges.append((*spec.ports, name))
        if listen is not None and spec.ports[0] <= listen[1] <= spec.ports[1]:
            problems.of(name)(
                f"{_range(spec.ports)} has the port of the daemon itself (supervisor.http.listen): {own_url(listen)}",
                "ports",
            )
    if ranges:
        for name, spec in specs.items():
            for index, socket in enumerate(spec.sockets):
                if socket.url.startswith("tcp:") and PORT not in socket.url:
                    _judge_socket(name, spec, index, ranges, problems)


def _judge_socket(
    name: str, spec: ServiceSpec, index: int, ranges: list[tuple[int, int, str]], problems: Problems
) -> None:
    for url in urls(spec, index):
        number = int(url.rpartition(":")[2])
        for first, last, owner in ranges:
            if first <= number <= last:
                whose = "this service" if owner == name else f'"{owner}"'
                problems.of(name)(f"{url} is one of the `ports` of {whose}", "sockets", index)
                return


def _addresses(spec: ServiceSpec, report: Report) -> None:
    """Report what is an address with the number 1 in place of a mark, but not with those of the last instance."""
    marked = [
        (key, written)
        for key, written in texts(spec)
        if (key[-1] in ("http", "tcp") or key[0] == "sockets") and with_numbers(written) != written
    ]
    if not marked:
        return
    name = replace(spec, surge=surge_of(spec.rollout, spec.replicas)).instances[-1]
    made = dict(texts(for_instance(spec, name)))
    for key, written in marked:
        try:
            _require(key, made[key], written)
        except ValueError as error:
            report(f"{name}: {error}", *key)


def _require(key: tuple[str | int, ...], made: str, written: str) -> None:
    if key[-1] == "http":
        require_url(made, written)
    elif made.startswith("tcp:"):
        port_number(made.rpartition(":")[2])
    elif not made.startswith("unix:"):
        require_address(made)
    elif len(os.fsencode(path := made.removeprefix("unix:"))) > LONGEST_PATH:
        raise ValueError(f"{path} is too long for a socket: at most {LONGEST_PATH} bytes")


def _range(ports: tuple[int, int]) -> str:
    return "{}-{}".format(*ports)
