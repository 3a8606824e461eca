"""Checks `[fleet]` as a whole: each host has a name, and no two are the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from supervisor.config.source.problems import Problems
from supervisor.core.model.fleet_spec import FleetHost, FleetSpec


def fleet(table: Mapping[str, Any], problems: Problems) -> FleetSpec:
    """The spec; incomplete where there are problems."""
    hosts: list[FleetHost] = []
    for index, given in enumerate(table.get("hosts", ())):
        where = ("fleet", "hosts", index)
        if "name" not in given:
            problems.add(where, 'a host needs a name; write for example { name = "a", address = "10.0.0.1" }')
            continue
        host = FleetHost(
            **{"address": given["name"], **given, "labels": tuple(sorted(given.get("labels", {}).items()))}
        )
        for other in hosts:
            if other.name == host.name:
                problems.add(where, f'another host is named "{host.name}", too')
            elif (other.address, other.port, other.user) == (host.address, host.port, host.user):
                problems.add(
                    where, f'"{host.name}" is the same host as "{other.name}": address, port and user are the same'
                )
        hosts.append(host)
    if not table.get("hosts") and not problems:
        problems.add(("fleet",), 'no hosts; write for example hosts = [{ name = "a", address = "10.0.0.1" }]')
    fields = {key: table[key] for key in ("directory", "wave") if key in table}
    return FleetSpec(hosts=tuple(hosts), **fields)
