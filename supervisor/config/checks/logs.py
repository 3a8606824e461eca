"""Checks where logs are written: each instance has a file of its own, and nothing else has the names beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from supervisor.config.source.problems import Problems, Report
from supervisor.core.model.spec import ServiceSpec

INSTANCE = "{instance}"
_BESIDE = re.compile(r"\.(?:\d+(?:\.gz|\.idx)?|idx|new|raw|gz\.new)$")
"""What is added to the name of a log for files that belong to it."""


def judge_log(spec: ServiceSpec, own: Mapping[str, object], report: Report) -> None:
    """Report contradictions in the log of one service; `own` holds the keys of its own table `log`."""
    log = spec.log
    if log.path is None:
        for key in ("mode", "owner", "group"):
            if key in own and "path" not in own:
                report("has no effect without path: the state directory is closed to other users", "log", key)
    elif spec.replicas > 1 and INSTANCE not in log.path:
        report(
            f"{log.path} would be the log of {spec.replicas} instances; write {INSTANCE} in the name of the file: "
            f"it stands for {spec.instances[0]} and so on",
            "log",
            "path",
        )


def judge_log_paths(services: Mapping[str, ServiceSpec], problems: Problems) -> None:
    """Report services whose logs would be written to the same file, or to one beside the log of another."""
    taken: dict[str, str] = {}
    for name, spec in services.items():
        path = spec.log.path
        if path is None or (spec.replicas > 1 and INSTANCE not in path):
            continue
        report = problems.of(name)
        for instance in spec.instances:
            mine = path.replace(INSTANCE, instance)
            if mine in taken and taken[mine] != name:
                report(
                    f"{mine} is the log of {taken[mine]}; write {INSTANCE} in the name of the file, or choose another",
                    "log",
                    "path",
                )
                break
            taken[mine] = name
    for mine, name in taken.items():
        other = taken.get(_BESIDE.sub("", mine)) if _BESIDE.search(mine) else None
        if other is not None:
            problems.of(name)(f"{mine} is the name of a file that belongs to the log of {other}", "log", "path")
