"""Failed probes: how often they fail is learned, and how many in a row begin a suspicion."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.detection.detectors.failed_probes import KNOWN, MEMORY, FailedProbes
from supervisor.core.detection.detectors.protocol import Detector
from supervisor.core.detection.detectors.registry import KNOWN as DETECTORS
from supervisor.core.detection.detectors.registry import make
from supervisor.core.lifecycle.instance import Instance
from supervisor.core.lifecycle.transitions import step
from supervisor.core.model import events as ev
from supervisor.core.model.spec import HeartbeatSpec, ServiceSpec

counting = pytest.mark.parametrize("name", sorted({*DETECTORS} - {"timeout"}))


class Service:
    """Answers one probe a second, or fails it: at once, or (`slow`) after the timeout of 1 s."""

    def __init__(self, name: str, *, slow: bool = False, seed: int = 0, source: str = "http", **spec: float) -> None:
        self.detector: Detector = make(HeartbeatSpec(source=source, detector=name, **spec))  # type: ignore[arg-type]
        self.detector.start(0.0)
        self._dice, self._slow = Random(seed), slow
        self.at, self.suspicions = 0.0, 0

    def probe(self, fails: bool) -> None:
        self.at += 1.0
        result = self.at + (0.99 if fails and self._slow else self._dice.uniform(0.002, 0.03))
        if self._suspected(result):
            fails = False  # it is asked once more, and answers
        if fails:
            self.detector.failed(result)
            self._suspected(result)
        else:
            self.detector.heartbeat(result)

    def probes(self, count: int, rate: float) -> None:
        for _ in range(count):
            self.probe(self._dice.random() < rate)

    def detection(self) -> float:
        """The seconds from the last answer until suspicion begins if it hangs now."""
        last, before = self.detector.last or 0.0, self.suspicions
        while True:
            self.at += 1.0
            result = self.at + (0.99 if self._slow else 0.01)
            due = self.detector.suspect_at() or 0.0
            if due <= result:
                return due - last
            self.detector.failed(result)
            if (self.detector.suspect_at() or 0.0) <= result:
                return result - last
            assert self.suspicions == before

    def _suspected(self, at: float) -> bool:
        due = self.detector.suspect_at()
        if due is None or due > at:
            return False
        self.suspicions += 1
        self.detector.forget_current()
        return True


# -- the promise -----------------------------------------------------------------------------------------------------


@counting
@pytest.mark.parametrize("slow", [False, True], ids=["fails at once", "fails by its timeout"])
@pytest.mark.parametrize("seed", [1, 2])
def test_one_failed_probe_in_fifteen_is_never_suspected_and_a_hang_is_found(name: str, slow: bool, seed: int) -> None:
    service = Service(name, slow=slow, seed=seed)
    service.probes(3 * 3600, 1 / 15)
    assert service.suspicions == 0
    assert service.detection() < (20.0 if name == "exponential" else 9.5)


@counting
def test_where_no_probe_fails_silence_alone_decides_as_for_other_sources(name: str) -> None:
    probed, other = Service(name), Service(name, source="notify")
    for service in (probed, other):
        service.probes(2 * KNOWN, 0.0)
        assert not service.detector.counts_failures
    assert probed.detection() == other.detection()


def test_a_lower_rate_needs_fewer_failures() -> None:
    needed = []
    for rate in (1 / 3, 1 / 15, 1 / 100, 1 / 500):
        service = Service("phi", seed=5)
        service.probes(3000, rate)
        needed.append(service.detection())
    assert needed == sorted(needed, reverse=True)
    assert needed[0] < 30.0
    assert needed[-1] < 4.5


def test_a_lower_threshold_needs_fewer_failures() -> None:
    patient, hasty = Service("phi"), Service("phi", threshold=3.0)
    for service in (patient, hasty):
        service.probes(3000, 1 / 15)
    assert hasty.detection() < 4.5 < patient.detection()


def test_before_the_rate_is_known_one_failure_is_not_enough() -> None:
    service = Service("phi")
    service.probes(30, 0.0)
    for _ in range(2):
        service.probe(True)
    assert service.suspicions == 0
    service.probe(True)
    assert service.suspicions == 1


def test_the_upper_bound_is_kept_whatever_the_rate() -> None:
    service = Service("phi", max_timeout=4.0)
    service.probes(300, 1 / 3)
    assert service.detection() <= 4.0


def test_a_probe_without_any_result_does_not_hold_the_suspicion_back_for_ever() -> None:
    service = Service("phi")
    service.probes(1000, 1 / 15)
    due = service.detector.suspect_at()
    assert due is not None and service.detector.last is not None
    assert due - service.detector.last < 3.5


def test_a_fixed_timeout_counts_no_failures() -> None:
    service = Service("timeout", timeout=5.0)
    service.probes(300, 1 / 15)
    assert not service.detector.counts_failures
    assert service.detection() == 5.0


# -- what is learned -------------------------------------------------------------------------------------------------


def test_an_interval_with_a_failed_probe_is_not_learned() -> None:
    service = Service("phi")
    service.probes(600, 1 / 15)
    assert max(service.detector.intervals()) < 1.1


def test_a_long_row_is_learned_as_a_few_failures() -> None:
    probes = FailedProbes(8.0, 8.0, 1.0)
    for _ in range(KNOWN):
        probes.answered()
    for _ in range(60):
        probes.failed(0.0)
    probes.answered()
    assert probes.needed == 5


def test_failures_are_forgotten_in_time() -> None:
    service = Service("phi")
    service.probes(300, 1 / 15)
    assert service.detector.counts_failures
    service.probes(8 * MEMORY, 0.0)
    assert not service.detector.counts_failures


def test_a_stall_of_the_daemon_and_a_new_run_end_the_row() -> None:
    def stall(detector: Detector, at: float) -> None:
        detector.discount_silence(6.5, at)

    def new_run(detector: Detector, at: float) -> None:
        detector.start(at)
        detector.heartbeat(at)

    for end in (stall, new_run):
        service = Service("phi")
        service.probes(1000, 1 / 15)
        service.probe(False)
        for _ in range(6):
            service.probe(True)
        assert service.detector.suspicion(service.at + 0.5) > 6.0
        end(service.detector, service.at + 0.5)
        assert service.detector.suspicion(service.at + 0.5) < 1.5
        service.probe(True)
        assert service.suspicions == 0


def test_the_rate_outlives_a_restart_of_the_daemon() -> None:
    service, later = Service("phi"), Service("phi")
    service.probes(1000, 1 / 15)
    later.detector.restore(service.detector.snapshot())
    later.detector.start(0.0)
    later.detector.heartbeat(0.5)
    assert later.detection() > 6.0


def test_a_snapshot_without_the_rate_is_read() -> None:
    service, later = Service("phi"), Service("phi")
    service.probes(1000, 1 / 15)
    later.probes(1000, 1 / 15)
    old = service.detector.snapshot()
    del old["probes"]
    later.detector.restore(old)
    assert later.detector.intervals() == service.detector.intervals()
    assert later.detector.snapshot()["probes"] == [0.0, 0.0, 0, 0.0]


# -- under any calls -------------------------------------------------------------------------------------------------


@pytest.mark.slow
@counting
@given(
    before=st.lists(st.booleans(), min_size=4, max_size=400),
    row=st.lists(st.floats(0.01, 3.0), max_size=12),
    looks=st.lists(st.floats(0.0, 5.0), min_size=1, max_size=4).map(sorted),
)
def test_the_score_never_falls_while_probes_fail(
    name: str, before: list[bool], row: list[float], looks: list[float]
) -> None:
    service = Service(name)
    service.probe(False)
    for fails in before:
        service.probe(fails)
    detector, at = service.detector, max(service.at + 1.0, service.detector.last or 0.0)
    scores = [detector.suspicion(at)]
    for gap in row:
        scores += [detector.suspicion(at + gap * share) for share in (0.3, 0.9, 1.0)]
        at += gap
        detector.failed(at)
        scores.append(detector.suspicion(at))
    scores += [detector.suspicion(at + look) for look in looks]
    assert all(a <= b * (1 + 1e-9) + 1e-9 for a, b in pairwise(scores))


# -- through the rules -----------------------------------------------------------------------------------------------


def test_a_failed_probe_reaches_the_detector_only_while_running() -> None:
    spec = ServiceSpec(name="web", command=("web",), heartbeat=HeartbeatSpec(source="http", http="http://x/"))
    instance = Instance("web", spec, lambda: 0.5)
    for event in (ev.Start(), ev.StartPermitted(), ev.Spawned(1, 7)):
        step(instance, event, 0.0)
    for second in range(1, 31):
        step(instance, ev.Heartbeat(1, float(second)), float(second))
    first = instance.deadline
    step(instance, ev.ProbeFailed(1, "HTTP 503"), 31.0)
    assert first is not None and instance.deadline is not None
    assert instance.deadline > first


@pytest.mark.parametrize("failures", [1, 3])
def test_the_memory_is_bounded_also_where_more_probes_fail_than_are_answered(failures: int) -> None:
    learned = FailedProbes(8.0, 8.0, 1.0)
    for _ in range(MEMORY):
        for at in range(failures):
            learned.failed(float(at))
        learned.answered()
    answered, failed, *_ = learned.snapshot()
    assert answered + failed < MEMORY
    assert failed / answered == pytest.approx(failures)
