"""`supervisor detectors compare`, as a user types it, on few beats."""

from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from supervisor.cli.detectors.group import detectors
from supervisor.detectorlab.comparetext import details, short, summary
from supervisor.detectorlab.comparison import compare
from supervisor.detectorlab.experiment import Setup
from supervisor.detectorlab.scenarios import named
from supervisor.errors import OperationFailed, SupervisorError

BEATS = 6000
FEW = ["--detector", "timeout", "--detector", "phi", "--detector", "chen", "--detector", "adaptive"]


def typed(*arguments: str) -> Result:
    return CliRunner().invoke(detectors, ["compare", "--jobs", "1", *arguments])


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    names = ["timeout", "phi", "chen", "adaptive", "akka"]
    return compare(Setup(BEATS, 2, 7), [named("timer"), named("steps")], names)


def test_all_are_judged_at_equal_detection_time(found: dict[str, Any]) -> None:
    for scenario in found["scenarios"]:
        assert len(scenario["times_s"]) == 3
        assert scenario["times_s"] == sorted(scenario["times_s"])
        for points in scenario["points"].values():
            for time, point in zip(scenario["times_s"], points, strict=True):
                if point is not None:
                    assert point["mean_s"] == pytest.approx(time, rel=0.011)
                    assert point["mean_s"] <= point["p99_s"] <= point["worst_s"] + 1e-9


def test_where_the_rhythm_changes_who_learns_is_far_better(found: dict[str, Any]) -> None:
    steps = found["scenarios"][1]["points"]
    phi, fixed = (sum(point["mistakes"] for point in steps[name]) for name in ("phi", "timeout"))
    assert phi < fixed / 5


def test_the_best_rival_errs_about_as_often_as_was_chosen(found: dict[str, Any]) -> None:
    for scenario in found["scenarios"]:
        minimum = min(p[0]["mistakes"] for n, p in scenario["points"].items() if p[0] is not None)
        assert minimum / (2 * (BEATS - 1000)) == pytest.approx(0.01, rel=0.6)


def test_ratios_are_those_of_the_counts(found: dict[str, Any]) -> None:
    rows = [row for scenario in found["scenarios"] for row in scenario["rows"]]
    assert rows
    for row in rows:
        assert row["ratio"] == row["ours"] / max(1, row["least"])
        assert row["best"] != "adaptive"
    assert found["losing"] == [row for row in rows if row["ratio"] > 1.1]


def test_a_seed_is_a_table_on_however_many_processes() -> None:
    setup, sources = Setup(BEATS, 1, 3), [named("normal")]
    here, elsewhere, other = (
        compare(setup, sources, ["timeout", "adaptive"], jobs=jobs)
        for jobs, setup in ((1, setup), (2, setup), (1, Setup(BEATS, 1, 4)))
    )
    assert here == elsewhere
    assert here != other


def test_everything_is_told(found: dict[str, Any]) -> None:
    text = "\n".join(summary(found))
    for word in ("timer", "steps", "adaptive", "mistakes in all".upper(), "HAZELCAST", "±"):
        assert word in text
    marked = list(summary(found, markdown=True))
    assert "| --- | ---: | ---: | ---: | ---: | ---: |" in marked
    brief = list(short(found))
    assert any(line.startswith("| timer | scheduled") and " · " in line for line in brief)
    assert brief[-1].startswith("Mistakes in all: ")
    whole = "\n".join(details(found["scenarios"][1]))
    assert "steps: renewal" in whole
    assert "AS SHIPPED" in whole
    assert "< " in whole, "no mistakes among n beats is a bound, not a zero"


def test_who_loses_is_named(found: dict[str, Any]) -> None:
    row = {"scenario": "timer", "time_s": 1.0, "best": "chen", "least": 100, "ours": 150, "ratio": 1.5, "error": 0.1}
    text = "\n".join(summary(found | {"losing": [row]}))
    assert "adaptive loses: timer at 1 s, 1.50 ± 0.10 times the mistakes of chen." in text
    text = "\n".join(summary(found | {"losing": [row | {"ratio": 1.2}]}))
    assert "within two standard errors" in text


def test_a_port_that_raised_is_named(found: dict[str, Any]) -> None:
    peer = found["scenarios"][0]["shipped"]["akka"] | {"raised": "ValueError: math domain error"}
    scenario = found["scenarios"][0] | {"shipped": {"akka": peer}}
    text = "\n".join(summary(found | {"scenarios": [scenario]}))
    assert "akka raised ValueError: math domain error, and was of no use from then on, in: timer." in text


def test_as_a_user_types_it(tmp_path: Path) -> None:
    picture = tmp_path / "curves.svg"
    result = typed("--scenario", "normal", "--beats", "5000", *FEW, "--plot", str(picture))
    assert result.exit_code == 0, result.output
    assert "MISTAKES" in result.output
    assert "a adaptive" in result.output or "adaptive" in result.output
    assert picture.read_text().startswith("<?xml")


def test_one_object(tmp_path: Path) -> None:
    page, image = tmp_path / "curves.html", tmp_path / "curves.png"
    result = typed(
        "--scenario", "normal", "--scenario", "timer", "--beats", "5000", *FEW[:4], "--json", "--plot", str(page)
    )
    told = json.loads(result.output)
    assert [s["name"] for s in told["scenarios"]] == ["normal", "timer"]
    assert "<svg" in page.read_text()
    assert "MISTAKES IN ALL" in page.read_text()
    from supervisor.detectorlab.compareplot import draw

    draw(told, image)
    assert image.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(OperationFailed, match="cannot be written"):
        draw(told, tmp_path / "absent" / "curves.png")


def test_a_recorded_trace(tmp_path: Path) -> None:
    path = tmp_path / "beats.csv"
    trace = named("timer").trace(1, 8000)
    path.write_text("\n".join(f"{at / 10:.6f}" for at in trace.arrived))
    result = typed("--trace", str(path), *FEW, "--markdown")
    assert result.exit_code == 0, result.output
    assert "beats.csv: 8,000 recorded beats, median interval 0.0999 s, without send times" in result.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--scenario", "rain"), "no scenario 'rain'"),
        (("--detector", "oracle"), "no detector 'oracle'"),
        (("--scenario", "normal", "--trace", "x.csv"), "exclude each other"),
    ],
)
def test_what_makes_no_sense_is_told(arguments: tuple[str, ...], says: str) -> None:
    result = typed(*arguments)
    assert isinstance(result.exception, SupervisorError)
    assert result.exception.exit_code == 2
    assert says in str(result.exception)


def test_a_picture_needs_an_ending_that_is_known() -> None:
    result = typed("--plot", "curves.jpeg")
    assert result.exit_code == 2
    assert "must end in .png, .svg or .html" in result.output


def test_without_the_extra_tables_are_there_and_pictures_say_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **others: Any) -> Any:
        if name.partition(".")[0] in ("matplotlib", "plotext"):
            raise ImportError(name)
        return real(name, *arguments, **others)

    monkeypatch.setattr(builtins, "__import__", without)
    result = typed("--scenario", "normal", "--beats", "5000", "--detector", "timeout", "--detector", "adaptive")
    assert result.exit_code == 0, result.output
    assert "pip install '.[lab]'" in result.output
    assert "MISTAKES" in result.output
    result = typed("--plot", "curves.png")
    assert isinstance(result.exception, OperationFailed)
    assert "pip install '.[lab]'" in str(result.exception)
