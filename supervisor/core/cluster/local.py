"""What an agent knows of its own host: its settings, and the daemon's last message."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from supervisor.core.cluster.orders import Order
from supervisor.core.cluster.placement import Rules, Slot


class Settings(NamedTuple):
    """`[cluster]`, in seconds.  `tick_time`: of the servers; `key`: of its heartbeats, empty: it sends none;
    `failsafe`: how long it promises to take nothing, 0: it neither asks nor promises (failsafe.py)."""

    node: str
    address: str = ""
    version: str = ""
    labels: Mapping[str, str] = {}
    contact_interval: float = 1.0
    request_timeout: float = 2.0
    tick_time: float = 2.0
    key: str = ""
    failsafe: float = 0.0


@dataclass(frozen=True, slots=True)
class Placed:
    """A placed service as the daemon has it.  `wanted`: it is to run, so far as this host is concerned; `completes`: it
    is a oneshot, whose success counts for the cluster."""

    rules: Rules
    digest: str
    stop_timeout: float
    wanted: bool = True
    completes: bool = False


class Present(NamedTuple):
    """A slot's instance on this host.  `gone`: nothing is left of `epoch`, the last one that it ran under (0: none)."""

    epoch: int
    gone: bool
    completed: bool = False


@dataclass(frozen=True, slots=True)
class Local:
    """The daemon's last message.  `able`: it may run exclusive services now; `reason`: why not; `status`, `incidents`:
    what other hosts can read of this one, as JSON; `heard`: when the agent said what the daemon had heard by then;
    `share`: of its balanced instances."""

    services: tuple[Placed, ...] = ()
    present: Mapping[Slot, Present] = field(default_factory=dict)
    able: bool = True
    reason: str = ""
    orders: tuple[Order, ...] = ()
    status: str = "{}"
    incidents: str = ""
    heard: float | None = None
    share: Mapping[str, Any] = field(default_factory=dict)
