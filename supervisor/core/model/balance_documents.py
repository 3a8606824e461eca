"""The documents of balanced services: their slots, and what instances carry.  documents.py says how they are used."""

from __future__ import annotations

from typing import Annotated, TypedDict

from supervisor.core.model.document_types import Seconds


class Balanced(TypedDict):
    """What an instance carries behind the balancer; requests and errors since the daemon started."""

    slot: Annotated[str | None, "active or draining; null: it takes no requests"]
    sessions: int
    queue: int
    rate: Annotated[int, "new requests in the last second"]
    requests: int
    errors: int


class BalancedSlot(TypedDict):
    """A slot of the balancer that an instance has, or still drains."""

    slot: int
    instance: Annotated[str | None, "null: it is gone"]
    address: str
    state: Annotated[str, "active or draining"]
    since_s: Seconds
    status: Annotated[str | None, "what HAProxy says of it"]
    weight: int | None
    sessions: int
    queue: int
    rate: Annotated[int, "new requests in the last second"]
    requests: Annotated[int, "of the instance, since the daemon started"]
    errors: int


class Balance(TypedDict):
    """One balanced service."""

    service: str
    up: Annotated[bool, "HAProxy answers"]
    listen: str
    mode: str
    algorithm: str
    slots: list[BalancedSlot]
    free: Annotated[int, "slots that no instance has"]
    requests: int
    load: Annotated[float, "L: requests per instance, since the daemon started"]
    carried: Annotated[dict[str, int], "requests by instance"]


class Balances(TypedDict):
    """The balanced services."""

    services: list[Balance]
