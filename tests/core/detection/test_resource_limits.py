"""Limits on resources: peaks, breaches, and that a breach is reported once."""

from __future__ import annotations

import pytest

from supervisor.core.detection.resource_limits import ResourceLimits
from supervisor.core.model.events import LimitExceeded
from supervisor.core.model.spec import ResourcesSpec

BOTH = ResourcesSpec(max_memory=100, max_cpu=1.5, sustained=10.0)
MEMORY = ResourcesSpec(max_memory=100, sustained=0.0)
CPU = ResourcesSpec(max_cpu=1.5, sustained=10.0)


@pytest.mark.parametrize(
    ("spec", "samples", "expected"),
    [
        (BOTH, [(0, 1.5, 100), (10, 1.5, 100), (20, 1.5, 100)], []),
        (BOTH, [(0, 0.0, 101), (9.9, 0.0, 101), (10, 0.0, 102)], [(10, "memory", 102)]),
        (BOTH, [(0, 0.0, 101), (5, 0.0, 100), (10, 0.0, 101), (19, 0.0, 101)], []),
        (BOTH, [(0, 0.0, 101), (10, 0.0, 101), (20, 0.0, 101)], [(10, "memory", 101)]),
        (
            BOTH,
            [(0, 0.0, 101), (10, 0.0, 101), (11, 0.0, 1), (12, 0.0, 101), (22, 0.0, 101)],
            [(10, "memory", 101), (22, "memory", 101)],
        ),
        (BOTH, [(0, 2.0, 101), (10, 2.0, 101)], [(10, "memory", 101), (10, "cpu", 2.0)]),
        (MEMORY, [(0, 99.0, 101)], [(0, "memory", 101)]),
        (CPU, [(0, 2.0, 999), (10, 2.0, 999)], [(10, "cpu", 2.0)]),
        (ResourcesSpec(), [(0, 99.0, 999), (99, 99.0, 999)], []),
    ],
)
def test_what_is_told(
    spec: ResourcesSpec, samples: list[tuple[float, float, int]], expected: list[tuple[float, str, float]]
) -> None:
    resource_limits = ResourceLimits(7, spec)
    told = [(now, excess) for now, cpu, memory in samples for excess in resource_limits.check(cpu, memory, now)]
    limits = {"memory": spec.max_memory, "cpu": spec.max_cpu}
    assert told == [(now, LimitExceeded(7, what, value, limits[what] or 0)) for now, what, value in expected]


def test_too_many_tasks_are_told_at_once_and_once_per_breach() -> None:
    resource_limits = ResourceLimits(7, ResourcesSpec(max_tasks=10, sustained=30.0))
    told = [resource_limits.check(0.0, 0, float(now), tasks) for now, tasks in enumerate((10, 11, 500, 9, 12))]
    assert told == [[], [LimitExceeded(7, "tasks", 11, 10)], [], [], [LimitExceeded(7, "tasks", 12, 10)]]
