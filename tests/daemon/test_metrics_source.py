"""What a page reads of the daemon: resources in turns, and never those of an earlier run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from supervisor.adapters.metrics.page import MOST_LOOKS
from supervisor.adapters.processes.sampler import Sample
from supervisor.daemon.metrics_source import MetricsSource


class Parts:
    """As much of the daemon's parts as the source uses; it counts the looks at resources."""

    def __init__(self, count: int) -> None:
        self.balancer = None
        names = [f"web@{k}" for k in range(count)]
        self.instances = {name: SimpleNamespace(pid=7, incarnation=1) for name in names}
        self.service_set = SimpleNamespace(instances=self.instances, rollouts=None)
        self.loop = SimpleNamespace(now=lambda: 1.0)
        self.logs = SimpleNamespace(
            stream=lambda name: SimpleNamespace(totals=lambda: (5, 2)) if name == "web@0" else None
        )
        self.sampler = self
        self.looked: list[str] = []

    def read_now(self, names: list[str], *, keep: bool) -> dict[str, Sample]:
        assert keep
        self.looked += names
        return {name: Sample(1.0, len(self.looked), 1) for name in names if self.instances[name].pid is not None}


def seen(source: MetricsSource) -> dict[str, int | None]:
    """The memory of each instance in one page."""
    readings = {name: source.read(name) for name in source.names()}
    return {name: r.usage.memory_bytes if r and r.usage else None for name, r in readings.items()}


@pytest.fixture
def parts() -> Parts:
    return Parts(2 * MOST_LOOKS + 1)


def source_of(parts: Any) -> MetricsSource:
    return MetricsSource(parts, lambda _now: None)  # type: ignore[arg-type, return-value]


def test_what_a_rollout_has_yet_to_replace_is_outdated() -> None:
    few = Parts(2)
    replaced = few.instances["web@0"]
    source = source_of(few)
    assert [r.outdated for n in source.names() if (r := source.read(n))] == [False, False]
    few.service_set.rollouts = SimpleNamespace(current=lambda instance: instance is replaced)
    assert [r.outdated for n in source.names() if (r := source.read(n))] == [False, True]


def test_few_instances_are_all_read_for_each_page() -> None:
    few = Parts(3)
    source = source_of(few)
    assert list(seen(source).values()) == [1, 2, 3]
    assert list(seen(source).values()) == [4, 5, 6]


def test_many_instances_take_turns_and_keep_their_last_reading_meanwhile(parts: Parts) -> None:
    source = source_of(parts)
    for page in range(1, 4):
        known = seen(source)
        assert len(parts.looked) == page * MOST_LOOKS
        assert sum(value is not None for value in known.values()) == min(page * MOST_LOOKS, len(parts.instances))
    assert set(parts.looked) == set(parts.instances)


def test_a_reading_of_an_earlier_run_is_not_shown(parts: Parts) -> None:
    source = source_of(parts)
    assert seen(source)["web@0"] is not None
    parts.instances["web@0"].incarnation = 2
    assert seen(source)["web@0"] is None  # it is not its turn
    parts.instances["web@1"].pid = None
    assert seen(source)["web@1"] is None


def test_bytes_of_output_are_known_where_there_is_a_stream(parts: Parts) -> None:
    source = source_of(parts)
    source.names()
    first, second, gone = source.read("web@0"), source.read("web@1"), source.read("nobody")
    assert first is not None and (first.written, first.lost) == (5, 2)
    assert second is not None and (second.written, second.lost) == (None, None)
    assert gone is None
