"""Which hosts are meant: all of [fleet], or those that `-H` names, by name or by label."""

from __future__ import annotations

from collections.abc import Sequence

from supervisor.core.model.fleet_spec import FleetHost, FleetSpec
from supervisor.core.text.nearest import did_you_mean
from supervisor.errors import UsageError


def chosen(fleet: FleetSpec, wanted: Sequence[str]) -> tuple[FleetHost, ...]:
    """The hosts in the order of the file.  UsageError for a name or label that no host has."""
    if not wanted:
        return fleet.hosts
    names: set[str] = set()
    for word in wanted:
        label, is_label, value = word.partition("=")
        found = {
            host.name for host in fleet.hosts if ((label, value) in host.labels if is_label else host.name == word)
        }
        if not found:
            known = [host.name for host in fleet.hosts]
            labels = sorted({f"{name}={value}" for host in fleet.hosts for name, value in host.labels})
            what = f"no host has the label {word}" if is_label else f"there is no host {word!r} in [fleet]"
            near = did_you_mean(word, labels if is_label else known)
            raise UsageError(f"-H {word}: {what}{near}", f"Hosts: {', '.join(known)}.")
        names |= found
    return tuple(host for host in fleet.hosts if host.name in names)
