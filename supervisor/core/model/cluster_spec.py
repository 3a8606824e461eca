"""The specifications of `[cluster]` and `[services.NAME.placement]` (docs/cluster.md)."""

from __future__ import annotations

from enum import StrEnum

from supervisor.core.model.value import value

SETTINGS_VARIABLE = "SUPERVISOR_CLUSTER"
"""The variable of the environment in which the agent gets `[cluster]`, as JSON."""

Labels = tuple[tuple[str, str], ...]
"""Names and values, by name."""


class PlacementMode(StrEnum):
    """On how many hosts of the cluster a service runs."""

    EVERY = "every"
    """On each host whose configuration has it, as without a cluster."""
    ONE = "one"
    SPREAD = "spread"


@value(frozen=True, slots=True, kw_only=True)
class PlacementSpec:
    """Where the instances of a service run.

    `instances`: of `spread`, over all hosts.  `require`: labels that a host must have; `prefer`: that it should have;
    `apart`: the label over whose values they are spread first."""

    mode: PlacementMode = PlacementMode.EVERY
    instances: int = 1
    require: Labels = ()
    prefer: Labels = ()
    apart: str = ""


@value(frozen=True, slots=True, kw_only=True)
class ClusterSpec:
    """`[cluster]`; times in seconds.

    `hosts`: ZooKeeper's connect string, with a chroot or without; `node`: this member's name; `address`: where the
    other members reach this one (host, port); `tick_time`: tickTime of the servers; `detect_within`: until a silent
    member is under suspicion; `failsafe`: slots are kept without ZooKeeper as long as all other members answer;
    `credentials_file`: a file with USER:PASSWORD for digest ACLs; `ca_file`, `certificate`,
    `private_key`: paths for TLS to ZooKeeper, or empty."""

    hosts: str
    node: str
    engine: str = "zookeeper"
    address: tuple[str, int] | None = None
    session_timeout: float = 10.0
    contact_interval: float = 1.0
    request_timeout: float = 2.0
    tick_time: float = 2.0
    detect_within: float = 3.0
    failsafe: bool = False
    labels: Labels = ()
    credentials_file: str = ""
    ca_file: str = ""
    certificate: str = ""
    private_key: str = ""


@value(frozen=True, slots=True, kw_only=True)
class PushedSpec:
    """The version of the configuration that was pushed to all hosts, and that this one runs.

    `path`: where it is kept on disk; `differs`: this host's own file has other services than it."""

    number: int
    digest: str
    path: str
    differs: bool = False
