"""Checks the tables of groups: each names the group of a service."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from supervisor.config.source.problems import Problems
from supervisor.config.units import quoted
from supervisor.core.model.spec import ServiceSpec
from supervisor.core.text.nearest import did_you_mean


def judge_groups(groups: Iterable[str], services: Mapping[str, ServiceSpec], problems: Problems) -> None:
    """Report groups to which no service belongs."""
    known = {spec.group_name for spec in services.values() if spec.group_name is not None}
    for name in groups:
        if name not in known:
            nearest = did_you_mean(name, known)
            problems.add(("groups", name), f"no service has group_name = {quoted(name)}{nearest}")
