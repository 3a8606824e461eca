"""`detectors tune` on ledgers, and how accurate its curves are."""

from __future__ import annotations

import builtins
import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from supervisor.adapters.ledger.store import Ledger
from supervisor.cli.daemon_target import DaemonTarget
from supervisor.cli.main import main
from supervisor.config.load import load
from supervisor.config.units import parse_duration
from supervisor.core.detection.interval_histogram import IntervalHistogram
from supervisor.core.detection.target import assess
from supervisor.core.lifecycle.instance import Instance
from supervisor.core.lifecycle.transitions import step
from supervisor.core.model import events as ev
from supervisor.core.model.spec import HeartbeatSpec, TargetSpec
from supervisor.core.text.units import span
from supervisor.detectorlab import tuning
from supervisor.detectorlab.recommendation import recommended
from supervisor.detectorlab.tuning import SilenceLaw, curves, present

Tune = Callable[..., Any]
TOML = """
[supervisor]
name = "demo"
runtime_dir = "{place}/r"
state_dir = "{place}/s"
[services.worker]
command = "sleep 1000"
replicas = 2
heartbeat = {heartbeat}
[services.mute]
command = "sleep 1000"
"""


def even(dice: Random) -> float:
    return max(0.01, dice.gauss(1.0, 0.03))


def memoryless(dice: Random) -> float:
    return dice.expovariate(1.0)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("SUPERVISOR_SOCKET", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(tuning, "BEATS", 2000)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s").mkdir()
    (tmp_path / "r").mkdir()
    return tmp_path


def recorded(place: Path, beats: int, draw: Callable[[Random], float] = even, heartbeat: str = "{}") -> None:
    """A services.toml, and the ledger that its two workers left behind."""
    (place / "services.toml").write_text(TOML.format(place=place, heartbeat=heartbeat))
    spec = load(place / "services.toml").services[0]
    ledger = Ledger(str(place / "s/ledger.db"), print)
    for seed, name in enumerate(spec.instances):
        instance, dice, at = Instance(name, spec, lambda: 0.5), Random(seed), 0.0
        for event in (ev.Start(), ev.StartPermitted(), ev.Spawned(1, 7)):
            step(instance, event, at)
        for _ in range(beats):
            at += draw(dice)
            instance.beat(ev.Heartbeat(1, at))
        ledger.save(name, instance.snapshot(at))
    ledger.flush()
    ledger.close()


@pytest.fixture
def tune(capsys: pytest.CaptureFixture[str]) -> Tune:
    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(["detectors", "tune", *arguments])
        return code, *capsys.readouterr()

    return run


def test_it_tells_the_rhythm_the_price_and_what_to_write(place: Path, tune: Tune) -> None:
    recorded(place, 1500)
    code, out, err = tune("worker")
    assert (code, err.count("\n")) == (0, 1)
    assert "no daemon answers; reading" in err
    assert out.startswith("worker: 2,998 intervals in 49 min 5")
    for part in ("█", "a adaptive", "● now: phi ≥ 8, 2s to 30s", "DETECTOR", "two-window", "can be met together"):
        assert part in out, part
    table = tomllib.loads(out[out.index("[services.worker.heartbeat]") :])
    assert table["services"]["worker"]["heartbeat"] == {
        "target": {"detect_within": "5s", "max_false_restarts": "1/30d"}
    }


def test_what_is_recommended_is_not_far_from_what_is_needed() -> None:
    """A short record with a few long pauses: the upper end of the fitted tail is many times what is needed."""
    dice, record = Random(7), IntervalHistogram()
    for _ in range(400):
        record.add(dice.gauss(1.0, 0.02) if dice.random() > 0.02 else 1.0 + 0.3 * dice.paretovariate(1.2))
    wish = TargetSpec(detect_within=2.5, max_false_restarts=1 / 86_400)
    beat = HeartbeatSpec(target=wish)
    verdict = assess(beat, 1, record)
    assert verdict.needs is not None and verdict.needs_high is not None
    assert verdict.feasible is False and verdict.needs_high > 2.0 * verdict.needs
    found = recommended("web", beat, wish, verdict)
    assert f"{span(verdict.needs_high)} of silence may be needed (95 %)" in found
    target = next(line for line in found.splitlines() if line.startswith("target"))
    within = parse_duration(target.split('"')[1])
    assert verdict.needs < within < 1.3 * verdict.needs + 1.0


def test_where_both_cannot_be_had_it_offers_either(place: Path, tune: Tune) -> None:
    recorded(place, 3000, memoryless, '{ target = { detect_within = "5s", max_false_restarts = "1/1d" } }')
    code, out, _ = tune("worker", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["target"]["feasible"] is False
    assert found["target"]["max_false_restarts_per_30d"] == 30.0
    assert found["present"]["setting"] == "target 5s, 1/1d"
    assert found["present"]["p99_s"] == pytest.approx(4.5)
    (place / "services.toml").write_text(
        TOML.format(place=place, heartbeat="{}").replace("heartbeat = {}", "") + found["toml"]
    )
    written = next(s for s in load(place / "services.toml").services if s.name == "worker").heartbeat
    assert written is not None and written.target is not None
    assert written.target.max_false_restarts == pytest.approx(1 / 86_400)
    assert written.target.detect_within > found["target"]["needs_s"]
    again = json.loads(tune("worker", "--json")[1])
    assert again["target"]["feasible"] is True
    assert again["target"]["sure"] is True
    price = next(line for line in found["toml"].splitlines() if line.startswith("# target"))
    assert 'detect_within = "5s"' in price and '/30d"' in price


def test_pauses_that_no_silence_outlasts(place: Path, tune: Tune) -> None:
    recorded(place, 400, lambda dice: 0.01 * dice.paretovariate(0.7))
    found = json.loads(tune("worker", "--json", "--false", "1/30000d")[1])
    assert found["target"]["needs_s"] is None
    assert 'on_suspect = "report"' in found["toml"]


def test_storms_are_told(place: Path, tune: Tune) -> None:
    beats = iter(range(10**9))
    recorded(place, 400, lambda dice: (3.0 if next(beats) // 20 % 2 else 1.0) * even(dice))
    assert "they come in storms" in " ".join(tune("worker")[1].split())


def test_other_wishes_and_other_settings(place: Path, tune: Tune) -> None:
    recorded(place, 400, heartbeat='{ detector = "timeout", timeout = "4s" }')
    found = json.loads(tune("worker", "--json", "--within", "40s", "--false", "2/1d")[1])
    assert (found["target"]["detect_within_s"], found["target"]["max_false_restarts_per_30d"]) == (40.0, 60.0)
    assert found["present"] == found["present"] | {"setting": "timeout 4s", "silence_s": 4.0, "p99_s": 4.0}
    assert found["toml"].endswith('target = { detect_within = "40s", max_false_restarts = "60/30d" }\n')


@pytest.mark.parametrize(("suffix", "begin"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("html", b"<!doctype html>")])
def test_it_draws(place: Path, tune: Tune, suffix: str, begin: bytes) -> None:
    recorded(place, 300)
    assert tune("worker", "--json", "--plot", f"x.{suffix}")[0] == 0
    picture = (place / f"x.{suffix}").read_bytes()
    assert picture.startswith(begin)
    assert suffix != "html" or (b"<svg" in picture and b"max_false_restarts" in picture)


def test_without_the_libraries_it_says_how_to_get_them(
    place: Path, tune: Tune, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def poor(name: str, *rest: Any, **more: Any) -> Any:
        if name.split(".")[0] in ("matplotlib", "plotext"):
            raise ImportError(name)
        return real(name, *rest, **more)

    recorded(place, 300)
    monkeypatch.setattr(builtins, "__import__", poor)
    code, out, _ = tune("worker")
    assert code == 0
    assert "pip install '.[lab]'" in out
    code, _, err = tune("worker", "--plot", "x.png")
    assert code == 1
    assert "matplotlib, which is not installed" in err


def test_it_cannot_be_written_there(place: Path, tune: Tune) -> None:
    recorded(place, 300)
    code, _, err = tune("worker", "--plot", "nosuch/x.png")
    assert (code, "x.png cannot be written: No such file or directory" in err) == (1, True)


def test_too_little_is_known(place: Path, tune: Tune) -> None:
    recorded(place, 51)
    code, out, err = tune("worker")
    assert (code, out) == (1, "")
    assert "worker: 100 intervals are recorded, 200 are needed" in err
    assert "At one beat every 0.5 s this takes 50 s more." in err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("mute",), 2, "mute has no heartbeat, so no intervals are recorded"),
        (("nosuch",), 4, "has no service 'nosuch'; it has"),
        (("worker", "--within", "soon"), 2, '"soon" is not a duration'),
        (("worker", "--false", "never"), 2, '"never" is not a rate'),
        (("worker", "--plot", "x.pdf"), 2, "must end in .png, .svg or .html"),
    ],
)
def test_what_makes_no_sense(place: Path, tune: Tune, arguments: tuple[str, ...], code: int, said: str) -> None:
    recorded(place, 300)
    found, _, err = tune(*arguments)
    assert (found, said in err) == (code, True), err


class Daemon:
    """The answer that tells where everything lies."""

    def __init__(self, place: Path) -> None:
        self._says = {"config": str(place / "services.toml"), "state_dir": str(place / "s")}

    def status(self) -> Any:
        return {"supervisor": self._says}


def test_a_daemon_says_where_its_ledger_is(place: Path, tune: Tune, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded(place, 300)
    monkeypatch.setattr(DaemonTarget, "client", Daemon(place))
    monkeypatch.chdir("/")
    code, out, err = tune("worker")
    assert (code, err) == (0, "")
    assert "598 intervals" in out


def test_the_law_is_the_record_both_ways() -> None:
    dice, histogram = Random(1), IntervalHistogram()
    for _ in range(5000):
        histogram.add(dice.expovariate(1.0))
    law = SilenceLaw(histogram)
    for chance in (0.9, 0.5, 0.1, 1e-2, 1e-4, 1e-9):
        assert law.silence(chance) == pytest.approx(histogram.silence(chance), rel=0.01)
        assert law.beyond(law.silence(chance)) == pytest.approx(chance, rel=1e-6)
    assert law.beyond(0.0) == 1.0
    assert law.beyond(1e9) <= 1e-13
    assert law.silence(1e-30) == pytest.approx(law.silence(1e-14))


def test_memoryless_intervals_leave_nothing_to_learn() -> None:
    """For these the best is a fixed timeout of −ln p, and what adapts can only lose a little."""
    dice, histogram = Random(2), IntervalHistogram()
    for _ in range(20_000):
        histogram.add(dice.expovariate(1.0))
    law = SilenceLaw(histogram)
    found = {curve.detector: curve for curve in curves(HeartbeatSpec(), law, 1)}
    fixed = found["timeout"].at(1e-3)
    assert fixed is not None and fixed.silence == pytest.approx(6.9, rel=0.05)
    for name, curve in found.items():
        silences = [point.silence for point in curve.points]
        assert silences == sorted(silences)
        point = curve.at(1e-3)
        if point is not None:
            assert point.silence >= 0.97 * fixed.silence, name
            within = curve.within(point.p99)
            assert within is not None and within.chance == pytest.approx(1e-3, rel=1.0)
    assert found["timeout"].at(1e-20) is None
    assert found["timeout"].within(1e-9) is None
    bounded = present(HeartbeatSpec(max_timeout=6.9), law, 1, (6.9, 6.9))
    assert bounded.silence == pytest.approx(6.9)
    assert bounded.chance == pytest.approx(1e-3, rel=0.3)


def test_failed_probes_are_judged_by_the_rule_that_counts_them() -> None:
    """One probe in fifteen fails: the detector needs a row of failures, not the silence of a longer interval."""
    dice, record = Random(1), IntervalHistogram()
    for _ in range(8000):
        periods = 1
        while dice.random() < 1 / 15:
            periods += 1
        record.add(periods + dice.gauss(0.0, 0.01))
    law = SilenceLaw(record)
    asked, told = (present(HeartbeatSpec(source=source), law, 3, None) for source in ("http", "notify"))
    assert 5.0 < asked.silence <= 9.0
    assert asked.chance < 1e-3 < told.chance
