"""The configuration of a cluster in words: which version is in force, and which hosts do not run it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from supervisor.core.model.push_documents import PushedHost, PushedVersion, PushedWord


def pushed_lines(pushed: PushedWord) -> Iterator[str]:
    """The lines about a pushed configuration; none where nothing was pushed."""
    if pushed["problem"]:
        yield pushed["problem"]
    if not pushed["number"]:
        return
    goal = pushed["number"] if pushed["phase"] == "rolling" else pushed["in_force"]
    if pushed["phase"] == "rolling":
        yield f"version {goal} of the configuration is being rolled out"
    elif pushed["phase"] == "returning":
        yield f"version {pushed['number']} of the configuration is being rolled back to {version_name(goal)}"
    if pushed["consistency"] < 1.0:
        hosts = [one for one in pushed["hosts"] if not _runs(one, goal)]
        behind = "; ".join(f"{one['node']} {_what(one)}" for one in hosts)
        on, every = len(pushed["hosts"]) - len(hosts), len(pushed["hosts"])
        yield f"{version_name(goal)} runs on {on} of {every} hosts (C {pushed['consistency']:.2f}): {behind}"
    for one in pushed["hosts"]:
        if one["differs"] and one["here"]:
            yield f"{one['node']}: its own file has other services than {version_name(one['number'])}, which it runs"


def why_back(version: PushedVersion) -> str:
    """Why a version was rolled back, with the host on which it failed."""
    return f"{version['failed_on']}: {version['reason']}" if version["failed_on"] else version["reason"]


def version_name(number: int) -> str:
    """`version 7`, or what hosts run without one."""
    return f"version {number}" if number else "each host's own file"


def _runs(host: PushedHost, goal: int) -> bool:
    return host["number"] == goal and host["health"] == "ready"


def _what(host: PushedHost) -> str:
    if not host["here"]:
        return f"is away, with {version_name(host['number'])}"
    words = {"ready": "runs", "changing": "changes to", "failed": "failed with"}
    reason = f": {host['reason'].partition(chr(10))[0]}" if host["health"] == "failed" else ""
    return f"{words[host['health']]} {version_name(host['number'])}{reason}"
