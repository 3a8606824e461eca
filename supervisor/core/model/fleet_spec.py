"""`[fleet]`: the hosts that one services.toml is brought to over ssh.  The daemon does not read it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetHost:
    """A host.  `address`: a name or address that ssh understands, also an alias of its configuration.  `user` and
    `port`: empty and None where ssh's own configuration decides.  `labels`: sorted by name."""

    name: str
    address: str
    user: str = ""
    port: int | None = None
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSpec:
    """`directory`: where everything lies on each host; one that does not begin with / is below the home of the user.
    `wave`: how many hosts are changed at a time, a number or a part of them."""

    hosts: tuple[FleetHost, ...] = ()
    directory: str = "/opt/phi"
    wave: int | str = "25%"
