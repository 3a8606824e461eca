"""Recorded traces, valid and malformed."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.detectorlab.trace_file import FEWEST, read
from supervisor.errors import OperationFailed, UsageError

BEATS = FEWEST + 1000


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "beats.csv"
    path.write_text(text)
    return path


def beats(period: float = 0.1, delay: float | None = None) -> list[str]:
    times = [100.0 + period * n for n in range(BEATS)]
    return [f"{at:.4f}" if delay is None else f"{at:.4f},{at - delay:.4f}" for at in times]


def test_times_are_in_median_intervals_and_the_parts_do_not_overlap(tmp_path: Path) -> None:
    recorded = read(written(tmp_path, "\n".join(beats())))
    assert recorded.period == pytest.approx(0.1)
    training, judged = recorded.trace(0, 10**9), recorded.trace(1, 10**9)
    assert len(training.arrived) + len(judged.arrived) == BEATS
    assert len(training.arrived) == round(0.4 * BEATS)
    assert judged.arrived[1] - judged.arrived[0] == pytest.approx(1.0, abs=0.01)
    assert not recorded.whole.stamped


def test_send_times_a_heading_and_empty_lines(tmp_path: Path) -> None:
    recorded = read(written(tmp_path, "\n".join(["arrived,sent", "", *beats(delay=0.02), ""])))
    assert recorded.whole.stamped
    part = recorded.trace(0, 100)
    assert part.arrived[5] - part.sent[5] == pytest.approx(0.2, abs=0.01)


def test_beats_out_of_order_are_put_in_order(tmp_path: Path) -> None:
    lines = beats()
    lines[10], lines[20] = lines[20], lines[10]
    whole = read(written(tmp_path, "\n".join(lines))).whole
    assert list(whole.arrived) == sorted(whole.arrived)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("soon", "beats.csv:3: 'soon' is not a time in seconds"),
        ("nan", "beats.csv:3: 'nan' is not a time in seconds"),
        ("1e300", "beats.csv:3: '1e300' is not a time in seconds"),
        ("5.0,4.0", "beats.csv:3: 2 columns"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, says: str) -> None:
    lines = beats()
    lines[2] = line
    with pytest.raises(UsageError) as error:
        read(written(tmp_path, "\n".join(lines)))
    assert says in str(error.value)


def test_nothing_arrives_before_it_is_sent(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="before it was sent"):
        read(written(tmp_path, "\n".join(beats(delay=-1.0))))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1.0\n2.0\n", f"has 2 beats, and {FEWEST:,} are needed"),
        ("", "has 0 beats"),
        ("1.0\n" * BEATS, "most beats arrive at the same moment"),
    ],
)
def test_what_cannot_be_judged_is_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(OperationFailed) as error:
        read(written(tmp_path, text))
    assert says in str(error.value)


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OperationFailed, match="cannot be read"):
        read(tmp_path / "absent.csv")
    (tmp_path / "beats.csv").write_bytes(b"\xff\xfe\x00\x01" * 100)
    with pytest.raises(OperationFailed, match="cannot be read"):
        read(tmp_path / "beats.csv")
