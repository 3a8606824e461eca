"""The peers' known defects, each shown."""

from __future__ import annotations

from collections.abc import Iterable
from math import log, log10

import pytest

from supervisor.detectorlab.candidates import SHIPPED, ComparedDetector, there
from supervisor.detectorlab.pypi_phi import PypiPhi
from supervisor.detectorlab.reimplementations import Akka, Cassandra, Hazelcast, Window


def heard(watcher: ComparedDetector, gaps: Iterable[float]) -> float:
    at = 0.0
    watcher.start(at)
    watcher.heartbeat(at)
    for gap in gaps:
        at += gap
        watcher.heartbeat(at)
    return at


def test_akka_is_the_logistic_approximation_with_a_pause() -> None:
    akka = Akka(1.0, 8.0)
    at = heard(akka, [1.0] * 1200)
    y = 0.5 / 0.1
    e = 2.718281828459045 ** (-y * (1.5976 + 0.070566 * y * y))
    assert akka.suspicion(at + 1.0 + 3.0 + 0.5) == pytest.approx(-log10(e / (1.0 + e)))
    begins = akka.suspect_at()
    assert begins is not None
    assert akka.suspicion(begins) == pytest.approx(8.0)


def test_akka_never_learns_a_rhythm_that_has_turned_slow() -> None:
    akka = Akka(1.0, 8.0, pause=0.0)
    at = heard(akka, [1.0] * 100 + [3.0] * 500)
    assert akka.suspicion(at + 2.9) > 8.0


def test_hazelcast_learns_every_pause() -> None:
    hazelcast = Hazelcast(1.0, 10.0, pause=0.0)
    heard(hazelcast, [1.0] * 300)
    before = hazelcast.suspect_at()
    assert before is not None
    at = heard(hazelcast, [1.0] * 300 + [600.0])
    after = hazelcast.suspect_at()
    assert after is not None
    assert after - at > 100.0


def test_cassandra_is_exponential_and_never_learns_what_takes_twice_as_long() -> None:
    cassandra = Cassandra(1.0, 8.0)
    at = heard(cassandra, [1.0] * 1000)
    assert cassandra.suspicion(at + log(10.0)) == pytest.approx(1.0, abs=0.01)
    at = heard(cassandra, [1.0] * 1000 + [2.5] * 500)
    assert cassandra.suspicion(at + log(10.0)) == pytest.approx(1.0, abs=0.01)


def test_their_window_forgets_the_oldest() -> None:
    window = Window(3, 9.0)
    for interval in (1.0, 2.0, 3.0):
        window.add(interval)
    assert (window.mean, window.deviation) == (pytest.approx(2.0), pytest.approx((2 / 3) ** 0.5))


@pytest.mark.parametrize("name", there())
def test_before_the_first_beat_nobody_is_suspected(name: str) -> None:
    peer = SHIPPED[name]
    watcher = peer.make(1.0, peer.default)
    watcher.start(0.0)
    assert watcher.suspicion(5.0) == 0.0
    assert watcher.suspect_at() is None


needs_port = pytest.mark.skipif(not PypiPhi.installed(), reason="phi-accrual-failure-detector is not installed")


@needs_port
def test_the_port_is_akkas_until_a_silence_of_21_deviations_ends_it() -> None:
    port, akka = PypiPhi(1.0, 8.0), Akka(1.0, 8.0)
    at = heard(port, [1.0] * 50)
    assert heard(akka, [1.0] * 50) == at
    assert port.suspicion(at + 4.3) == pytest.approx(akka.suspicion(at + 4.3), rel=0.2)
    assert port.suspect_at() == pytest.approx(akka.suspect_at(), abs=0.2)
    assert not port.heartbeat(at + 60.0)
    assert "math domain error" in port.raised
    assert not port.heartbeat(at + 61.0), "the beat that raised was not taken: it goes on raising"
    assert port.suspicion(at + 61.1) > 1e9
