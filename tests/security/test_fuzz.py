"""Short runs of scripts/fuzz, and that it finds planted defects."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from scripts.tools.fuzz import campaign, target_http, target_notify, target_toml
from supervisor.adapters.http import routing
from supervisor.config.schema import values
from supervisor.core.model import sdnotify

ROOT = Path(__file__).parents[2]


@pytest.fixture
def fuzz() -> SimpleNamespace:
    targets = {
        "notify": target_notify.NotifyTarget,
        "http": target_http.HttpTarget,
        "toml": target_toml.TomlTarget,
    }
    return SimpleNamespace(campaign=campaign, targets=targets)


@pytest.mark.parametrize(("name", "inputs"), [("notify", 15_000), ("http", 4000), ("toml", 2000)])
def test_nothing_breaks(fuzz: SimpleNamespace, name: str, inputs: int) -> None:
    result = fuzz.campaign.run(fuzz.targets[name](), inputs, seed=1)
    assert [f.trace for f in result.findings] == []
    assert result.inputs == inputs
    fruitful = {"notify": "heard", "http": "200", "toml": "accepted"}[name]
    assert result.outcomes[fruitful] > inputs / 20  # or it would only knock at the door


@pytest.mark.parametrize("name", ["notify", "http", "toml"])
def test_a_planted_fault_is_found_and_replayed(
    fuzz: SimpleNamespace, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as planted:
        _plant(name, planted)
        result = fuzz.campaign.run(fuzz.targets[name](), 1000, seed=1)
        found = [f for f in result.findings if "planted" in f.trace]
        assert found and result.outcomes["crash"]
        file = fuzz.campaign.save(found[0], name, tmp_path)
        again = fuzz.campaign.replay(fuzz.targets[name](), file.read_bytes())
        assert again is not None and "planted" in again.trace
    assert fuzz.campaign.replay(fuzz.targets[name](), file.read_bytes()) is None


def _plant(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault that only one in a hundred inputs or so meets."""

    def status(value: bytes) -> dict[str, str]:
        if b"%" in value:
            raise LookupError("planted")
        return {"status": ""}

    def time_of(value: object) -> float:
        if "T" in str(value):
            raise LookupError("planted")
        return 0.0

    def duration(value: str) -> float:
        if value == "1h":
            raise LookupError("planted")
        return 1.0

    if name == "notify":
        monkeypatch.setitem(sdnotify._FIELDS, b"STATUS", status)
    elif name == "http":
        monkeypatch.setitem(routing._READERS, "time", time_of)
    else:
        monkeypatch.setattr(values, "parse_duration", duration)


def test_a_hang_is_found(fuzz: SimpleNamespace) -> None:
    class Sleeper:
        def make(self, _rng: object) -> bytes:
            return b"x"

        def run(self, _data: bytes) -> str:
            time.sleep(60)
            return "slept"

        def close(self) -> None:
            pass

    result = fuzz.campaign.run(Sleeper(), 1, seed=1, limit=0.3)
    assert result.outcomes["hang"] == 1 and "Hang" in result.findings[0].error


def test_what_breaks_a_target_still_closes_it(fuzz: SimpleNamespace) -> None:
    closed = []

    class Fragile:
        def make(self, _rng: object) -> bytes:
            return b"x"

        def run(self, _data: bytes) -> str:
            raise LookupError

        def close(self) -> None:
            closed.append(self)

    assert fuzz.campaign.replay(Fragile(), b"x") is not None
    assert fuzz.campaign.run(Fragile(), 1, seed=1).findings
    assert len(closed) == 2


def test_an_order_that_nobody_gave_is_found(fuzz: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    target = fuzz.targets["http"]()
    make_status = target._house.make_status

    def restless(*args: object) -> object:
        target._house.orders.append("stop")
        return make_status(*args)

    monkeypatch.setattr(target._house, "make_status", restless)
    result = fuzz.campaign.run(target, 300, seed=1)
    assert any("stop" in f.error for f in result.findings)


def test_the_command(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "scripts.tools.fuzz",
        "notify",
        "--inputs",
        "500",
        "--jobs",
        "2",
        "--save",
        str(tmp_path),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "notify: 500 inputs" in done.stdout and "0 crashes, 0 hangs, 0 services touched" in done.stdout
