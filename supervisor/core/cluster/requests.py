"""What an agent asks of ZooKeeper, and what comes back.  Paths lie below the chroot of `cluster.hosts`.

An answer that did not come in time is UNKNOWN: the request may have been carried out, or still be.  So each write has a
version, or a mark that is looked for afterwards, and no decision rests on its failure.
"""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

MEMBERS, HOSTS, SLOTS, MOVES, DRAINS, STATUS, INCIDENTS = (
    "/members", "/hosts", "/slots", "/moves", "/drains", "/status", "/incidents",
)  # fmt: skip
DIRECTORIES = (MEMBERS, HOSTS, SLOTS, MOVES, DRAINS, STATUS, INCIDENTS)


class Verb(StrEnum):
    """The kinds of requests."""

    CHILDREN = "children"
    """The names below a path, and word when they change."""
    GET = "get"
    """A node, and word when it changes or comes to be."""
    CREATE = "create"
    CREATE_EPHEMERAL = "create-ephemeral"
    SET = "set"
    DELETE = "delete"


WRITES = frozenset({Verb.CREATE, Verb.CREATE_EPHEMERAL, Verb.SET, Verb.DELETE})
"""Those that a majority of the servers carries out.  One server answers a read by itself, also for seconds after it was
cut off from the others while they end the session: such an answer proves nothing."""


class Request(NamedTuple):
    """One request.  `version`: of the node that a SET or DELETE expects.

    `guard`: another node that must have `guard_version` when a DELETE is carried out, or empty.  The version of a node
    does not distinguish it from a later node of the same name, which also begins with 0; the version of a node that is
    never removed does."""

    verb: Verb
    path: str = "/"
    data: str = ""
    version: int = -1
    guard: str = ""
    guard_version: int = -1


class Result(StrEnum):
    """How a request ended."""

    DONE = "done"
    EXISTS = "exists"
    NO_NODE = "no-node"
    BAD_VERSION = "bad-version"
    UNKNOWN = "unknown"
    REFUSED = "refused"
    """The server does not allow it, for instance by an ACL."""


class Node(NamedTuple):
    """A node as it was read.  `created`: its czxid; `session`: its owner's, 0 where it is not ephemeral; `modified`:
    its last write, in seconds since the epoch by the clock of the servers."""

    data: str
    version: int
    created: int
    session: int = 0
    modified: float = 0.0


class Answer(NamedTuple):
    """What became of a request that was sent at `sent` (seconds of CLOCK_BOOTTIME).  `names`: of CHILDREN; `node`: of
    GET, None where there is none."""

    request: Request
    result: Result
    sent: float
    names: tuple[str, ...] = ()
    node: Node | None = None
    reason: str = ""


@lru_cache(1024)
def slot_path(service: str, number: int) -> str:
    """The node of a slot, which stays; its owner's node lies in it."""
    return f"{SLOTS}/{service}@{number}"


@lru_cache(1024)
def owner_path(service: str, number: int) -> str:
    """The node that the owner's session keeps."""
    return f"{slot_path(service, number)}/owner"
