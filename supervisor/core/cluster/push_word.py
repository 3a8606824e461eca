"""What the daemon says of pushed configurations, read for `Pushes`.  What is unreadable raises ValueError, TypeError or
KeyError, and is not followed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from supervisor.core.cluster.pushes import Push, Pushes
from supervisor.core.cluster.versions import Health, Report


def hear(pushes: Pushes, answer: Mapping[str, Any]) -> None:
    """Take what a daemon's answer says of it; one of an earlier build says nothing."""
    runs = answer.get("pushed")
    if runs is None:
        return
    wants = runs["wants"]
    report = Report(
        int(runs["number"]), str(runs["digest"]), int(runs["seq"]), Health(runs["health"]), str(runs["reason"]),
        bool(runs["differs"]),
    )  # fmt: skip
    wanted = (int(wants[0]), str(wants[1])) if wants is not None else None
    number, digest = runs.get("plan") or (report.number, report.digest)  # an earlier build says nothing of it
    text = runs.get("text", None if "plan" in runs else "")
    orders = [_push(one) for one in answer.get("pushes", ())]
    pushes.told(report, wanted, orders, (int(number), str(digest)), None if text is None else str(text))


def _push(one: Mapping[str, Any]) -> Push:
    return Push(
        str(one["id"]), str(one["text"]), str(one["by"]), float(one["at"]), str(one["mark"]),
        str(one["max_unavailable"]), float(one["timeout"]), bool(one["undo"]),
        int(one.get("takes_back", 0)),
    )  # fmt: skip
