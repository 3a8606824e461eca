"""Limits a message between agent and daemon to `PACKET` bytes: decides what is left out of one that would be larger.

Only a part of a longer message would arrive, which cannot be read, and the leases in it would be lost.  So leases, the
places of slots, the hosts by name and the turn of a push are always sent; the rest is left out in a fixed order, least
needed first, and `cluster status` shows what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from supervisor.core.cluster.bounds import PACKET, compact
from supervisor.core.text.units import shorten

if TYPE_CHECKING:
    from supervisor.core.model.cluster_documents import ClusterWord

SPARE = 1024
"""Bytes that are kept free for the sentence which tells what is left out."""
SHORT = 60
"""Characters that are left of a reason."""
PUSH = "a push"
Cut = Callable[[dict[str, Any], int], dict[str, Any]]
"""Makes a word shorter; the number is by how many bytes it is too long."""


def fitted(word: ClusterWord, limit: int = PACKET) -> ClusterWord:
    """The agent's report as one message.  `limit`: its bytes."""
    found, left_out = cast("dict[str, Any]", word), list[str]()
    for what, cut in _CUTS:
        excess = len(compact(found)) - (limit - SPARE)
        if excess <= 0:
            break
        found = cut(found, excess)
        left_out.append(what)
    if left_out:
        told = f"the agent knows more than one message of {limit // 1024} KiB holds; left out: {', '.join(left_out)}"
        found = {**found, "problems": [*found["problems"], told]}
    return cast("ClusterWord", found)


def answer(own: str, push: str, status: str, incidents: str, limit: int = PACKET) -> tuple[str, list[str]]:
    """The daemon's answer as one message, and what is left out of it.

    `own`: an object in JSON, of what it has; `push`: an order to push, `status`, `incidents`: what other hosts can
    read of this one; each is JSON, and empty where there is none.  An agent that is told no summary or no failures
    leaves those in ZooKeeper that it has written last."""
    parts, left_out = {"pushes": f"[{push}]", "status": status, "incidents": incidents}, list[str]()
    for name, what, empty in _PARTS:
        if len(_joined(own, parts)) <= limit:
            break
        parts[name] = empty
        left_out.append(what)
    return _joined(own, parts), left_out


_PARTS = (
    ("incidents", "the failures and events of this host", "{}"), ("status", "the summary of its instances", "{}"),
    ("pushes", PUSH, "[]"),
)  # fmt: skip


def _joined(own: str, parts: Mapping[str, str]) -> str:
    return own[:-1] + "".join(f',"{name}":{part}' for name, part in parts.items()) + "}"


def _without_history(word: dict[str, Any], _excess: int) -> dict[str, Any]:
    pushed = word.get("pushed")
    if pushed is None:
        return word
    wanted = (pushed["number"], pushed["in_force"])
    return {**word, "pushed": {**pushed, "history": [one for one in pushed["history"] if one["number"] in wanted]}}


def _shorter(word: dict[str, Any], _excess: int) -> dict[str, Any]:
    found = {
        **word,
        "members": [{**one, "labels": {}, "version": "", "reason": shorten(one["reason"], SHORT)}
                    for one in word["members"]],
        "nowhere": [{**one, "reason": shorten(one["reason"], SHORT)} for one in word["nowhere"]],
    }  # fmt: skip
    pushed = word.get("pushed")
    if pushed is not None:
        hosts = [{**one, "reason": shorten(one["reason"], SHORT)} for one in pushed["hosts"]]
        found["pushed"] = {**pushed, "hosts": hosts}
    return found


def _without_record(word: dict[str, Any], _excess: int) -> dict[str, Any]:
    kept = [
        {"id": one["id"], "done": False, "error": "what it has told does not fit in one message beside all else"}
        if "record" in one else one
        for one in word["outcomes"]
    ]  # fmt: skip
    return {**word, "outcomes": kept}


def _fewer_shares(word: dict[str, Any], excess: int) -> dict[str, Any]:
    """Those of the hosts whose names come last."""
    hosts = list(word["hosts"] or ())
    for number in reversed(range(len(hosts))):
        if excess > 0:
            excess -= len(compact(hosts[number]["share"]))
            hosts[number] = {**hosts[number], "share": {}}
    return {**word, "hosts": hosts if word["hosts"] is not None else None}


_CUTS: tuple[tuple[str, Cut], ...] = (
    ("the history of pushed versions", _without_history),
    ("labels and versions of hosts, and the ends of long reasons", _shorter),
    ("what another host has told of itself", _without_record),
    ("balanced instances of other hosts", _fewer_shares),
)
"""In this order.  The text of a version stays: a host that does not get it never comes to the end of a push."""
