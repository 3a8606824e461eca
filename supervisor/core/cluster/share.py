"""What the members of a cluster publish about their balanced instances: offers, and which of them are still used.

A member offers the instances that may get requests through the HAProxy of another host.  An instance that leaves is
withdrawn first.  Each withdrawal has a serial number.  A member publishes the number up to which it uses no withdrawn
instance any more, and only then is the instance stopped.

Another build, or a stolen member, may have written it: what makes no sense counts as missing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from supervisor.core.model.cluster_documents import ShareDocument

MOST_OFFERS, MOST_NAMES = 200, 100
"""Instances that a member offers; services that it takes, and hosts of which it tells what it uses."""
LONGEST_NAME = 120
_IPV6 = re.compile(r"[0-9A-Fa-f:]{2,39}")


class Offer(NamedTuple):
    """An instance that may get requests from other hosts, at this port of its member's address."""

    instance: str
    incarnation: int
    port: int


class Share(NamedTuple):
    """`offers`: by service.  `takes`: services whose instances on other hosts get requests from this host.

    `serial`: RUN.N, where N grows with each withdrawal by one run of the daemon.  `settled`: for each other member the
    last serial of which nothing withdrawn is used here any more."""

    offers: Mapping[str, tuple[Offer, ...]] = {}
    takes: tuple[str, ...] = ()
    serial: str = ""
    settled: Mapping[str, str] = {}


def bounded(share: Share) -> Share:
    """As much of it as a node may hold."""
    offers, left = {}, MOST_OFFERS
    for service, some in sorted(share.offers.items())[:MOST_NAMES]:
        offers[service] = some[:left]
        left -= len(offers[service])
    return share._replace(
        offers=offers, takes=share.takes[:MOST_NAMES], settled=dict(sorted(share.settled.items())[:MOST_NAMES])
    )


def dump(share: Share) -> ShareDocument:
    """The same for the same content."""
    return {
        "offers": {service: [list(one) for one in some] for service, some in sorted(share.offers.items())},
        "takes": sorted(share.takes),
        "serial": share.serial,
        "settled": dict(sorted(share.settled.items())),
    }


def read(raw: object) -> Share:
    """What a member has published, without what makes no sense."""
    if not isinstance(raw, Mapping):
        return Share()
    offers = {
        service: tuple(offer for one in some if (offer := _offer(one)) is not None)
        for service, some in _mapping(raw.get("offers")).items()
        if _name(service) and isinstance(some, list)
    }
    takes, serial = raw.get("takes"), raw.get("serial")
    settled = {node: told for node, told in _mapping(raw.get("settled")).items() if _name(node) and _name(told)}
    return bounded(
        Share(
            offers,
            tuple(one for one in takes if _name(one)) if isinstance(takes, list) else (),
            serial if isinstance(serial, str) and _name(serial) else "",
            settled,
        )
    )


def document(raw: object) -> dict[str, Any]:
    """What a member has published, as it is passed on; empty: it has no balanced instances."""
    found = read(raw)
    return dict(dump(found)) if found.serial else {}


def reached(told: str, run: str, number: int) -> bool:
    """Whether the serial that was told is of the same run, and not before this number."""
    same, _, last = told.rpartition(".")
    return same == run and last.isascii() and last.isdigit() and len(last) < 20 and int(last) >= number


def host_number(host: str) -> str:
    """The numeric address of one host, in brackets where it is of IPv6; empty: it is none."""
    bare = host.strip("[]")
    parts = bare.split(".")
    if len(parts) == 4 and all(one.isascii() and one.isdigit() and len(one) <= 3 and int(one) <= 255 for one in parts):
        return bare if 0 < int(parts[0]) < 224 else ""
    if ":" not in bare or not _IPV6.fullmatch(bare) or not bare.strip(":0"):
        return ""
    return "" if bare.lower().startswith("ff") else f"[{bare}]"


def _offer(raw: object) -> Offer | None:
    if not isinstance(raw, list) or len(raw) != 3:
        return None
    instance, incarnation, port = raw
    if not _name(instance) or type(incarnation) is not int or type(port) is not int:
        return None
    return Offer(instance, incarnation, port) if incarnation >= 0 and 1 <= port <= 65535 else None


def _mapping(raw: object) -> Mapping[Any, Any]:
    return raw if isinstance(raw, Mapping) else {}


def _name(raw: object) -> bool:
    return (
        isinstance(raw, str) and 0 < len(raw) <= LONGEST_NAME and raw.isascii() and raw.isprintable() and "/" not in raw
    )
