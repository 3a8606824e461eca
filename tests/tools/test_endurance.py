"""The verdict of `scripts/chaos --programs`: it finds a healthy program that was ended, and a hang found too late."""

from __future__ import annotations

import select
import signal
import subprocess
import sys
import time
from typing import Any, cast

import pytest

from scripts.tools.chaos import endurance, proc_view
from scripts.tools.chaos.catalog import MAX_TIMEOUT, PROGRAMS, WISH
from scripts.tools.chaos.endurance import LOST, Endurance, Hang
from scripts.tools.chaos.prepare import Prepared
from scripts.tools.chaos.proc_view import Process
from scripts.tools.chaos.stage import Stage
from supervisor.core.model.documents import Event
from supervisor.core.text.timestamps import to_iso
from tests.e2e.conftest import PATIENCE

HUNG_AT = 1_800_000_000.0


@pytest.fixture
def run() -> Endurance:
    programs = [Prepared(program, 0, "") for program in PROGRAMS if program.name in ("nginx", "gunicorn")]
    return Endurance(cast(Stage, None), programs, 1, lambda _: None)


def tell(run: Endurance, before: str, to: str, cause: str, after: float, name: str = "gunicorn", **detail: Any) -> None:
    event = {"at": to_iso(HUNG_AT + after), "instance": name, "incarnation": 1, "from": before, "to": to}
    run._judge(cast(Event, event | {"cause": cause, "detail": detail}), run.rows[name])


def hang(run: Endurance, ran: float, suspected: float, held: str = "", before: float = 0.0, **more: Any) -> None:
    """A hang that is suspected and ended; it could run for `before` seconds until it was suspected."""
    planted = Hang("gunicorn", 1, "lock", HUNG_AT, ran=before, **more)
    run.hangs.append(planted)
    run.planted["gunicorn", 1] = "lock"
    tell(run, "running", "suspect", "heartbeat-silent", suspected)
    planted.ran = ran
    if held:
        tell(run, "suspect", "suspect", "held", suspected + 0.4, held=held)
    tell(run, "suspect", "stopping", "heartbeat-silent", suspected + 100.0)
    tell(run, "stopping", "backoff", "heartbeat-silent", suspected + 101.0)
    assert not planted.open


def test_a_healthy_program_that_was_ended_is_found(run: Endurance) -> None:
    tell(run, "running", "suspect", "heartbeat-silent", 0.0, "nginx")
    assert run.violations == []
    tell(run, "suspect", "stopping", "heartbeat-silent", 1.0, "nginx")
    (violation,) = run.violations
    assert violation.startswith("ended although healthy") and "nginx run 1" in violation
    assert (run.rows["nginx"].suspicions, run.rows["nginx"].ended) == (1, 1)


def test_a_suspicion_that_is_held_and_cleared_is_counted_only(run: Endurance) -> None:
    tell(run, "running", "suspect", "heartbeat-silent", 0.0, "nginx")
    tell(run, "suspect", "suspect", "held", 0.4, "nginx", held="starved of CPU")
    tell(run, "suspect", "running", "heartbeat-resumed", 1.0, "nginx")
    row = run.rows["nginx"]
    assert (run.violations, row.suspicions, row.holds, row.cleared) == ([], 1, 1, 1)


def test_a_hang_that_is_found_in_time(run: Endurance) -> None:
    hang(run, ran=WISH + 1.0, suspected=WISH - 0.5)
    assert (run.violations, run.rows["gunicorn"].found) == ([], [pytest.approx(WISH - 0.5)])


def test_a_hang_that_is_suspected_late(run: Endurance) -> None:
    hang(run, ran=WISH + 1.0, suspected=WISH + 0.5)
    assert run.violations == ["suspected too late: gunicorn run 1, lock, after 5.50 s instead of 5.0 s"]


@pytest.mark.parametrize(("suspected", "found"), [(WISH + 0.5, []), (WISH + 1.0, ["5.8 s"])])
def test_the_time_for_which_the_daemon_waits_for_a_cpu_is_given_to_it(
    run: Endurance, suspected: float, found: list[str]
) -> None:
    hang(run, ran=WISH + 1.0, suspected=suspected, late=0.75)
    assert [violation.rpartition(" instead of ")[2] for violation in run.violations] == found


def test_the_next_daemon_counts_the_silence_from_its_own_begin(run: Endurance) -> None:
    hang(run, ran=WISH, suspected=16.58, kills=1, anew=6.81)
    assert run.violations == []
    run.hangs.clear()
    hang(run, ran=WISH, suspected=16.58, kills=1, anew=6.3)
    assert "after 16.58 s instead of 16.3 s" in run.violations[0]


@pytest.mark.parametrize(
    ("held", "kills", "may"), [("", 0, WISH), ("starved of CPU", 0, MAX_TIMEOUT), ("x", 1, MAX_TIMEOUT + LOST)]
)
def test_a_hang_that_could_run_for_too_long(run: Endurance, held: str, kills: int, may: float) -> None:
    hang(run, ran=may + 3.0, suspected=4.0, held=held, kills=kills)
    assert run.violations == []
    run.hangs.clear()
    hang(run, ran=may + 4.0, suspected=4.0, held=held, kills=kills)
    assert "ended too late" in run.violations[0]
    run.violations.clear()
    run.hangs.clear()
    hang(run, ran=may + 4.0, suspected=4.0, held=held, kills=kills, blind_ran=1.0)
    assert run.violations == [], "the time without a daemon does not count"


def test_what_a_held_hang_could_run_before_its_suspicion_is_not_counted_by_the_daemon(run: Endurance) -> None:
    hang(run, ran=14.55, suspected=4.04, held="starved of CPU", before=4.0)
    assert run.violations == []
    run.hangs.clear()
    hang(run, ran=14.55, suspected=4.04, held="starved of CPU", before=0.5)
    assert "could run for 14.6 s instead of 14.0 s" in run.violations[0]


def test_what_was_measured_after_the_end_does_not_count(run: Endurance) -> None:
    hang(run, ran=1e6, suspected=4.0, held="starved of CPU", kills=4)
    assert (run.violations, run.hangs[0].ran) == ([], pytest.approx(104.0))


def test_a_hang_that_was_never_ended(run: Endurance) -> None:
    run.hangs.append(Hang("gunicorn", 1, "lock", HUNG_AT))
    run._close(run.hangs[0])
    assert run.violations == ["missed: gunicorn run 1, lock"]


STOPS_ITSELF = """
import os, signal
def once(*_):
    signal.signal(signal.SIGCONT, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGSTOP)
    print("runs", flush=True)
signal.signal(signal.SIGCONT, once)
print("is there", flush=True)
while True:
    signal.pause()
"""


def test_what_stops_itself_when_it_goes_on_is_continued_again(run: Endurance, monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen([sys.executable, "-S", "-c", STOPS_ITSELF], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"is there\n"
        found = proc_view.stat(process.pid)
        assert found is not None
        process.send_signal(signal.SIGSTOP)
        run.waking.append((time.monotonic(), "nginx", [Process(process.pid, found.start)]))
        until = time.monotonic() + PATIENCE
        while not select.select([process.stdout], [], [], 0.01)[0] and time.monotonic() < until:
            run._wake()
        said = process.stdout.readline() if select.select([process.stdout], [], [], 0.0)[0] else b""
        process.kill()
    assert said == b"runs\n"
    monkeypatch.setattr(endurance, "SETTLED", 0.0)
    run._wake()
    assert run.waking == [], "nothing is stopped any more"
