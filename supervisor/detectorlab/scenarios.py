"""Synthetic traces of beats to judge detectors by: senders, networks and hosts, each from a seed.

A trace gives for every beat when it was sent and when it arrived (`inf`: lost). Senders are renewals (work, then sleep:
the next beat is sent a gap after the last) or scheduled (a timer: beat i is sent at i periods). Times are seconds,
every sender's period is about 1 s: detectors know no other scale than the configured period.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass
from math import exp, inf, pi, sin
from random import Random
from typing import Protocol

PERIOD = 1.0


@dataclass(frozen=True, slots=True)
class Trace:
    """`sent` and `arrived` are seconds, by beat; `stamped`: the beats carry their time of sending; `probed`: each beat
    is the answer to a probe, and where none arrived, the probe failed at the time at which it was sent."""

    sent: array[float]
    arrived: array[float]
    stamped: bool = False
    probed: bool = False

    def order(self) -> list[int]:
        """Indexes of the beats that arrive, in order of arrival."""
        return sorted((i for i, at in enumerate(self.arrived) if at < inf), key=self.arrived.__getitem__)


class TraceSource(Protocol):
    """A source of traces; it can be passed to another process."""

    @property
    def name(self) -> str: ...

    @property
    def about(self) -> str: ...

    def trace(self, seed: int, beats: int) -> Trace: ...


@dataclass(frozen=True, slots=True)
class Scenario:
    name: str
    about: str
    make: Callable[[Random, int], Trace]

    def trace(self, seed: int, beats: int) -> Trace:
        return self.make(Random(f"{self.name}:{seed}"), beats)

    def __reduce__(self) -> tuple[Callable[[str], Scenario], tuple[str]]:
        return named, (self.name,)


Draw = Callable[[Random, int], float]
"""A random number for beat i, in seconds."""


def renewal(gap: Draw) -> Callable[[Random, int], Trace]:
    def make(dice: Random, beats: int) -> Trace:
        at, sent = 0.0, array("d")
        for i in range(beats):
            at += max(0.01, gap(dice, i))
            sent.append(at)
        return Trace(sent, sent)

    return make


def scheduled(
    delay: Draw, lost: Callable[[Random], Callable[[], bool]] | None = None
) -> Callable[[Random, int], Trace]:
    def make(dice: Random, beats: int) -> Trace:
        sent = array("d", (PERIOD * i for i in range(1, beats + 1)))
        gone = lost(dice) if lost else lambda: False
        return Trace(sent, array("d", (inf if gone() else s + max(0.001, delay(dice, i)) for i, s in enumerate(sent))))

    return make


def normal(mean: float, deviation: float) -> Draw:
    return lambda dice, i: dice.gauss(mean, deviation)


def lognormal(median: float, shape: float) -> Draw:
    return lambda dice, i: median * exp(dice.gauss(0.0, shape))


def gamma(shape: float) -> Draw:
    return lambda dice, i: dice.gammavariate(shape, PERIOD / shape)


def bimodal(dice: Random, i: int) -> float:
    return dice.gauss(1.8, 0.1) if dice.random() < 0.2 else dice.gauss(0.8, 0.05)


def pareto(dice: Random, i: int) -> float:
    return 0.7 + 0.2 * dice.paretovariate(2.5)


def steps(dice: Random, i: int) -> float:
    """Four phases of 3000 beats with different intervals: another load, another release."""
    mean, deviation = ((1.0, 0.05), (1.8, 0.2), (1.2, 0.1), (0.7, 0.15))[i // 3000 % 4]
    return dice.gauss(mean, deviation)


def drift(dice: Random, i: int) -> float:
    return dice.gauss(1.2 + 0.4 * sin(2 * pi * i / 6000), 0.08)


def daily(dice: Random, i: int) -> float:
    """Regular by night, load-dependent by day."""
    return dice.gauss(1.0, 0.03) if i // 2500 % 2 == 0 else 0.9 * exp(dice.gauss(0.0, 0.35))


def rare_pauses(dice: Random, i: int) -> float:
    return dice.gauss(1.0, 0.08) + (dice.uniform(0.8, 1.8) if dice.random() < 0.005 else 0.0)


def periodic_pauses(dice: Random, i: int) -> float:
    """A garbage collection or a flush, every 60 beats."""
    return dice.gauss(1.0, 0.08) + (dice.gauss(1.5, 0.2) if i % 60 == 59 else 0.0)


def suspends(dice: Random, i: int) -> float:
    return 600.0 if dice.random() < 0.0005 else dice.gauss(1.0, 0.12)


def loss(rate: float) -> Callable[[Random], Callable[[], bool]]:
    return lambda dice: lambda: dice.random() < rate


def gilbert_elliott(dice: Random) -> Callable[[], bool]:
    """Good: 0.2 % lost, left every 200 beats; bad: 30 % lost, left every 15 beats."""
    bad = False

    def lost() -> bool:
        nonlocal bad
        bad = dice.random() < (14 / 15 if bad else 1 / 200)
        return dice.random() < (0.3 if bad else 0.002)

    return lost


def stalls(dice: Random, beats: int) -> Trace:
    """The observer sleeps for 1 to 4 s, once in 300 beats; beats of that time arrive all at once."""
    smooth = scheduled(lognormal(0.05, 0.6))(dice, beats)
    arrived, until = array("d"), 0.0
    for at in smooth.arrived:
        if at >= until and dice.random() < 1 / 300:
            until = at + dice.uniform(1.0, 4.0)
        arrived.append(max(at, until + 1e-5 * len(arrived) / beats) if at < until else at)
    return Trace(smooth.sent, arrived)


def congestion(dice: Random, beats: int) -> Trace:
    """A queue in the network: delays wander, each close to the one before."""
    level, delays = 0.0, array("d")
    for _ in range(beats):
        level = 0.97 * level + dice.gauss(0.0, 0.25)
        delays.append(0.08 * exp(level) + 0.02 * dice.random())
    return scheduled(lambda dice, i: delays[i])(dice, beats)


def stamped(dice: Random, beats: int) -> Trace:
    """A worker that works and sleeps, over a network with delays, with beats that carry their time of sending."""
    sent = renewal(normal(1.0, 0.05))(dice, beats).sent
    return Trace(sent, array("d", (s + 0.1 * exp(dice.gauss(0.0, 0.8)) for s in sent)), stamped=True)


def probes(dice: Random, beats: int) -> Trace:
    """A probe a second, of which one in fifteen fails while the service is healthy."""
    smooth = scheduled(lognormal(0.02, 0.5), loss(1 / 15))(dice, beats)
    return Trace(smooth.sent, smooth.arrived, probed=True)


SCENARIOS = (
    Scenario("normal", "renewal, normal gaps (σ 10 %)", renewal(normal(1.0, 0.1))),
    Scenario("lognormal", "renewal, lognormal gaps (σ 0.3)", renewal(lognormal(0.95, 0.3))),
    Scenario("gamma", "renewal, gamma gaps (shape 4)", renewal(gamma(4.0))),
    Scenario("bimodal", "renewal, one gap in five of a second mode", renewal(bimodal)),
    Scenario("pareto", "renewal, Pareto gaps (α 2.5)", renewal(pareto)),
    Scenario("timer", "scheduled, lognormal delays", scheduled(lognormal(0.12, 0.6))),
    Scenario("stamped", "renewal, lognormal delays, send times in the beats", stamped),
    Scenario("loss", "scheduled, 1 % lost", scheduled(lognormal(0.05, 0.5), loss(0.01))),
    Scenario("bursts", "scheduled, Gilbert–Elliott loss", scheduled(lognormal(0.05, 0.5), gilbert_elliott)),
    Scenario("congestion", "scheduled, delays that wander", congestion),
    Scenario("steps", "renewal, another rhythm every 3000 beats", renewal(steps)),
    Scenario("drift", "renewal, the mean drifts by a third", renewal(drift)),
    Scenario("daily", "renewal, a clock by night, lognormal by day", renewal(daily)),
    Scenario("rare-pauses", "renewal, 0.5 % pauses", renewal(rare_pauses)),
    Scenario("periodic-pauses", "renewal, a pause every 60 beats", renewal(periodic_pauses)),
    Scenario("stalls", "scheduled, an observer that stalls", stalls),
    Scenario("failed-probes", "a probe a second, one in fifteen fails", probes),
    Scenario("suspends", "renewal, normal gaps, suspended for 10 min now and then", renewal(suspends)),
)


def named(name: str) -> Scenario:
    """The scenario of that name. Raises KeyError."""
    return _BY_NAME[name]


_BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
