"""The bench's pure parts: a wrong median, ratio or line count would go unnoticed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scripts.tools.bench import figures, page, proc, rows, scenarios, table, victims
from scripts.tools.bench.peers.floors import Receive


@pytest.fixture(scope="module")
def bench() -> SimpleNamespace:
    return SimpleNamespace(figures=figures, proc=proc, rows=rows, scenarios=scenarios, table=table, victims=victims)


def row(bench: SimpleNamespace, goal: object, higher_is_better: bool = False) -> object:
    return bench.figures.Row("key", "title", "ms", goal, higher_is_better=higher_is_better)


@pytest.mark.parametrize(
    ("samples", "expected"), [([], None), ([3.0], 3.0), ([9.0, 1.0, 5.0], 5.0), ([4.0, 1.0, 3.0, 2.0], 2.5)]
)
def test_median(bench: SimpleNamespace, samples: list[float], expected: float | None) -> None:
    assert bench.figures.median(samples) == expected


def test_the_best_peer_is_the_lowest_unless_higher_is_better(bench: SimpleNamespace) -> None:
    peers = {"slow": 9.0, "fast": 2.0}
    assert bench.figures.best(peers, higher_is_better=False) == ("fast", 2.0)
    assert bench.figures.best(peers, higher_is_better=True) == ("slow", 9.0)
    assert bench.figures.best({}, higher_is_better=False) is None


def test_a_ratio_to_nothing_is_no_ratio(bench: SimpleNamespace) -> None:
    assert bench.figures.ratio(1.0, 4.0) == 0.25
    assert bench.figures.ratio(1.0, 0.0) is None


@pytest.mark.parametrize(
    ("goal", "higher", "ours", "expected"),
    [
        ({"limit": 60.0}, False, 60.0, "REACHED"),
        ({"limit": 60.0}, False, 60.1, "SHORT"),
        ({"limit": 2000.0}, True, 2000.0, "REACHED"),
        ({"limit": 2000.0}, True, 1999.0, "SHORT"),
        ({"strict": True}, False, 4.9, "REACHED"),
        ({"strict": True}, False, 5.0, "SHORT"),
        ({"peer": "a"}, True, 10.0, "REACHED"),
        ({"peer": "a"}, True, 9.9, "SHORT"),
        ({"peer": "a", "factor": 0.7}, False, 7.0, "REACHED"),
        ({"peer": "a", "factor": 0.7}, False, 7.1, "SHORT"),
        ({"peer": "elsewhere"}, False, 1.0, "UNKNOWN"),
        ({"peer": "elsewhere", "limit": 3.0}, False, 4.0, "SHORT"),
        ({"peer": "a", "limit": 3.0}, False, 4.0, "REACHED"),
        ({"limit": 60.0}, False, None, "UNKNOWN"),
        (None, False, 1.0, "NO_GOAL"),
    ],
)
def test_the_verdict(
    bench: SimpleNamespace, goal: dict[str, object] | None, higher: bool, ours: float | None, expected: str
) -> None:
    asked = None if goal is None else bench.figures.Goal(**goal)
    assert bench.figures.judge(row(bench, asked, higher), ours, {"a": 10.0, "b": 5.0}).name == expected


def test_without_peers_nothing_is_claimed(bench: SimpleNamespace) -> None:
    goal = bench.figures.Goal(strict=True)
    assert bench.figures.judge(row(bench, goal), 1.0, {}) is bench.figures.Verdict.UNKNOWN


def test_the_slope_is_per_service(bench: SimpleNamespace) -> None:
    assert bench.scenarios.pss_slope({"pss-100": 20.0, "pss-1000": 29.0}) == pytest.approx(9 * 1024 / 900)
    assert bench.scenarios.pss_slope({"pss-100": 20.0}) is None


def test_rows_are_chosen_by_the_beginning_of_their_key(bench: SimpleNamespace) -> None:
    every = bench.rows.ROWS
    assert [chosen.key for chosen in bench.figures.select_rows(every, ["start", "beats"])] == [
        "start-100",
        "start-1000",
        "start-cpu-1000",
        "start-5000",
        "beats-1000",
        "beats-10000",
        "beats-late",
    ]
    assert bench.figures.select_rows(every, []) == list(every)
    with pytest.raises(KeyError, match="strat"):
        bench.figures.select_rows(every, ["strat"])


def test_row_keys_are_unique(bench: SimpleNamespace) -> None:
    keys = [each.key for each in bench.rows.ROWS]
    assert len(keys) == len(set(keys))


def test_records_are_read_in_any_portion(bench: SimpleNamespace) -> None:
    record = bench.victims.RECORD
    data = record.pack(10, 7, 100, 1, 0) + record.pack(20, 8, 101, 2, 0)
    first, rest = bench.victims.parse(data[:30])
    assert [(r.ns, r.id, r.pid, r.kind.name) for r in first] == [(10, 7, 100, "STARTED")]
    second, rest = bench.victims.parse(rest + data[30:])
    assert [(r.ns, r.id, r.pid, r.kind.name) for r in second] == [(20, 8, 101, "HUNG")]
    assert rest == b""


def line(number: int) -> bytes:
    return b"%010d " % number + b"." * 88 + b"\n"


@pytest.mark.parametrize(
    ("files", "lost", "torn", "repeated"),
    [
        ([[line(0), line(1)], [line(2), line(3)]], 0, 0, 0),
        ([[line(2), line(3)], [line(0), line(1)]], 0, 0, 0),
        ([[line(0), line(1)], [line(3)]], 1, 0, 0),
        ([[line(0), line(1)[:40]], [line(1)[40:], line(2), line(3)]], 1, 2, 0),
        ([[line(0), line(1), line(1), line(2), line(3)]], 0, 0, 1),
        ([[line(0), line(1), line(2), line(3), line(4)]], 0, 1, 0),
        ([[line(0), line(1), line(2), b"\0" * 100]], 1, 1, 0),
        ([], 4, 0, 0),
    ],
)
def test_what_became_of_the_lines(
    bench: SimpleNamespace, tmp_path: Path, files: list[list[bytes]], lost: int, torn: int, repeated: int
) -> None:
    paths = []
    for index, lines in enumerate(files):
        paths.append(tmp_path / str(index))
        paths[-1].write_bytes(b"".join(lines))
    damage = bench.victims.check_lines(paths, expected=4)
    assert (damage.lost, damage.torn, damage.repeated) == (lost, torn, repeated)
    assert damage.total == lost + torn + repeated


def test_usage_counts_what_happened_in_between(bench: SimpleNamespace) -> None:
    usage = bench.proc.Usage
    assert usage(500, 9) - usage(200, 4) == usage(300, 5)


def test_floors_are_no_peers_to_be_beaten(bench: SimpleNamespace) -> None:
    rows = [bench.figures.Row("kill-slow", "kill", "ms", bench.figures.Goal(strict=True))]
    samples = {"kill-slow": {"ours": [2.0], "peer": [3.0], "loop": [1.0]}}
    found = bench.table.as_json(rows, samples, {}, floors=["loop"], absent={"other": "no gcc"}, machine={})
    assert found["rows"]["kill-slow"]["verdict"] == "reached"
    assert found["rows"]["kill-slow"]["systems"]["loop"]["median"] == 1.0
    assert found["absent"] == {"other": "no gcc"}


def test_a_floor_is_compared_with_where_the_goal_names_it() -> None:
    goal = figures.Goal(peer="loop", factor=1.5)
    samples = {"kill-fast": {"ours": [2.0], "peer": [1.0], "loop": [1.0], "abc1234": [9.0]}}
    kinds = {"floors": ["loop", "abc1234"], "builds": ["abc1234"], "absent": {}, "machine": {}}
    found = table.as_json([figures.Row("kill-fast", "kill", "ms", goal)], samples, {}, **kinds)  # type: ignore[arg-type]
    measured = found["rows"]["kill-fast"]
    assert (measured["verdict"], measured["goal"], measured["compared"]) == ("short", "≤ 1.5 × loop", "loop")
    goals = [figures.Goal(limit=3.0), figures.Goal(limit=0.0), figures.Goal(strict=True), figures.Goal(peer="a"), None]
    texts = [table.goal_text(figures.Row("key", "title", "", goal)) for goal in goals]
    assert texts == ["≤ 3", "0", "< every peer", "≤ a", ""]


def run_of(key: str, load: float, **systems: float) -> dict[str, Any]:
    measured = {name: {"median": value} for name, value in systems.items()}
    compared = "peer" if "peer" in systems else None
    entry = {
        "title": key,
        "unit": "ms",
        "goal": "≤ peer",
        "compared": compared,
        "verdict": "short",
        "systems": measured,
    }
    about = {"cpus": 2, "kernel": "6.1-x", "python": "3.11", "load_before": load}
    versions = {name: f"v-{name}" for name in systems}
    told = {"machine": about, "versions": versions, "builds": ["abc1234"]}
    return {**told, "absent": {"other": "no gcc"}, "rows": {key: entry}}


def test_the_page_has_this_build_beside_an_earlier_one_and_a_peer() -> None:
    first = run_of("burst", 1.0, ours=9.0, abc1234=12.0, peer=8.0)
    again = run_of("kill-fast", 3.0, ours=7.0, peer=6.0)
    text = page.section([first, run_of("kill-fast", 2.0, ours=99.0, peer=1.0), again])
    assert "| figure | unit | build before (`abc1234`) | this build | peer or floor | goal | reached |" in text
    assert "| burst | ms | 12 | 9 | peer 8 | ≤ peer | **no** |" in text
    assert "| kill-fast | ms | – | 7 | peer 6 | ≤ peer | **no** |" in text, "the last run counts"
    assert text.index("| kill-fast |") < text.index("| burst |"), "the order of the bench"
    assert "(load before: 1.0 to 3.0)" in text
    assert "Left out: other (no gcc)." in text


def test_beats_have_rows_in_the_tables_and_a_floor_beside_them() -> None:
    runs = [run_of(key, 1.0, ours=2.0, **{"bare beats": 0.5}) for key in ("beats-1000", "beats-10000")]
    text = page.section(runs)
    for key in ("beats-1000", "beats-10000"):
        assert f"| {key} | ms | – | 2 |" in text, "goals"
        assert f"| {key} | ms | 2 | 0.5 |" in text, "all systems"
    kept = [row.key for row in rows.ROWS if not row.key.startswith(tuple(Receive.skips))]
    assert {"beats-1000", "beats-10000"} <= set(kept), "the floor is measured for them"
    assert not any(key.startswith(("kill", "start-", "hang", "stop")) for key in kept), "and starts nothing again"
