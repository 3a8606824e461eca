"""Checks where logs are written: which instances share a file, and that nothing else has the names beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from supervisor.config.source.problems import Problems, Report
from supervisor.core.model.spec import ServiceSpec
from supervisor.core.services.scaling import surge_of

INSTANCE = "{instance}"
_BESIDE = re.compile(r"\.(?:\d+(?:\.gz|\.idx)?|idx|new|raw|gz\.new)$")
"""What is added to the name of a log for files that belong to it."""
_OF_FILE = ("max_size", "keep", "compress", "mode", "owner", "group", "rotate")
"""The keys that say something of the file, not of a line."""


class _Use(NamedTuple):
    service: str
    key: str
    written: str


def judge_log(spec: ServiceSpec, own: Mapping[str, object], report: Report) -> None:
    """Report contradictions in the log of one service; `own` holds the keys of its own table `log`."""
    if spec.log.path is None and not spec.log.stderr:
        for key in ("mode", "owner", "group"):
            if key in own and "path" not in own:
                report("has no effect without path: the state directory is closed to other users", "log", key)


def _most(spec: ServiceSpec) -> int:
    """How many instances run at most, a rollout's included."""
    return spec.replicas + surge_of(spec.rollout, spec.replicas)


def with_shared_logs(services: Mapping[str, ServiceSpec], problems: Problems) -> dict[str, ServiceSpec]:
    """The specs, which say of each log whether several instances write it. Reports logs that cannot be shared, and
    those that are named like a file that belongs to another log."""
    taken: dict[str, _Use] = {}
    shared: set[str] = set()
    for name, spec in services.items():
        for key, path in (("path", spec.log.path), ("stderr", spec.log.stderr)):
            if not path:
                continue
            files = {path.replace(INSTANCE, instance) for instance in spec.instances}
            if len(files) < spec.replicas or (_most(spec) > 1 and INSTANCE not in path):
                shared.add(path)
            if found := next((file for file in sorted(files) if file in taken), None):
                other = taken[found]
                if other.written == path and other.service != name and INSTANCE not in path:
                    shared.add(path)
                    _judge_agreement(services, other, _Use(name, key, path), problems)
                else:
                    advice = f"write {INSTANCE} in the name of the file, or choose another"
                    if other.service == name:
                        advice = "leave stderr out, and both are in one log"
                    problems.of(name)(f"{found} is the log of {other.service}; {advice}", "log", key)
            for file in files:
                taken.setdefault(file, _Use(name, key, path))
    for mine, use in taken.items():
        owner = taken.get(_BESIDE.sub("", mine)) if _BESIDE.search(mine) else None
        if owner is not None:
            message = f"{mine} is the name of a file that belongs to the log of {owner.service}"
            problems.of(use.service)(message, "log", use.key)
    return {name: _marked(spec, shared) for name, spec in services.items()}


def _judge_agreement(services: Mapping[str, ServiceSpec], first: _Use, second: _Use, problems: Problems) -> None:
    """Report what two services say of the one file that they write, where it differs."""
    theirs, mine = services[first.service].log, services[second.service].log
    for key in _OF_FILE:
        if getattr(theirs, key) != getattr(mine, key):
            where = problems.where(("services", first.service, "log", key))
            message = f"{second.written} is also the log of {first.service}, which has another value ({where})"
            problems.of(second.service)(f"{message}; write the same, or choose another file", "log", key)


def _marked(spec: ServiceSpec, shared: set[str]) -> ServiceSpec:
    path_shared, stderr_shared = spec.log.path in shared, spec.log.stderr in shared
    if not path_shared and not stderr_shared:
        return spec
    return replace(spec, log=replace(spec.log, path_shared=path_shared, stderr_shared=stderr_shared))
