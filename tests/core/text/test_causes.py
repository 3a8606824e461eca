"""Every cause has a sentence, and numbers are written for a reader."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.model.causes import Cause
from supervisor.core.text.causes import phrase
from supervisor.core.text.units import percent, real_time_signal, shorten, signal_name, size, span

RICH: dict[str, Any] = {
    "exit_code": 3, "signal": 11, "error": "No such file or directory: '/a/very/long/path/to/a/program/that/is/not'",
    "start_timeout_s": 30.0, "last_probe_error": "connection refused " * 9, "detector": "phi", "suspicion": 8.123,
    "threshold": 8.0, "silence_s": 3.42, "value": 6e8, "limit": 5e8, "pid": 4194304, "how": "http", "after_s": 0.214,
    "held": "traced by pid 4194304 (" + "x" * 90, "stop_timeout_s": 10.0, "processes": ["4194304 (D)"] * 20,
}  # fmt: skip
RESTART = {"attempt": 2, "restarts_in_window": 2, "max_restarts": 5, "window_s": 60.0, "delay_s": 0.213}
WISH = {"detect_within_s": 5.0, "max_false_restarts_per_30d": 1.0, "false_restarts_per_30d": 3.0, "needs_s": 7.2}
TOLD = {"errno": 13, "text": "Permission denied", "bus": "x.No"}
OOM = {"out_of_memory": "memory.max 256 MiB"}
AFTER_HUP = {"after_signal": 1, "after_signal_s": 0.2}
OPEN = {"attempt": 5, "breaker": "open", "reason": "more than 5", "retry_in_s": 60.0}


@pytest.mark.parametrize("cause", Cause)
@pytest.mark.parametrize("detail", [{}, RICH, RICH | RESTART, RICH | OPEN], ids=["bare", "rich", "restart", "open"])
def test_every_cause_is_one_short_sentence(cause: Cause, detail: dict[str, Any]) -> None:
    said = phrase(cause, detail)
    assert 0 < len(said) <= 70
    assert "\n" not in said
    assert "None" not in said
    assert said != cause.value or cause in (Cause.STOPPED, Cause.EXITED, Cause.READY)
    assert phrase(cause.value, detail) == said


@pytest.mark.parametrize(
    ("cause", "detail", "said"),
    [
        (
            "start-timeout",
            {"start_timeout_s": 30.0, "notified": 0},
            "not ready within 30 s; it sent no notification at all",
        ),
        (
            "start-timeout",
            {"start_timeout_s": 30.0, "notified": 0, "sender_refused": True},
            "not ready within 30 s; its main process sent no notification",
        ),
        ("start-timeout", {"start_timeout_s": 30.0, "notified": 1}, "not ready within 30 s; it sent 1 notification"),
        (
            "start-timeout",
            {"start_timeout_s": 30.0, "notified": 3, "notified_age_s": 2.0},
            "not ready within 30 s; it sent 3 notifications, the last 2 s before",
        ),
        (
            "start-timeout",
            {"start_timeout_s": 30.0, "notified": 3, "last_status": "loading", "last_status_age_s": 12.0},
            "not ready within 30 s; its last STATUS, 12 s old: loading",
        ),
        ("start-timeout", {"last_status": "loading"}, "not ready in time; its last STATUS: loading"),
        ("start-timeout", {"start_timeout_s": 30.0}, "not ready within 30 s"),
        ("start-timeout", {"notified": 0, "last_probe_error": "refused"}, "not ready in time: refused"),
        ("start-timeout", {"start_timeout_s": 30.0, "notified": 0, "breaker": "half-open"}, "not ready within 30 s"),
        ("connection", {"socket": "unix:@web"}, "a connection came on unix:@web"),
        ("idle", {"idle_s": 600.0}, "stopped, because there was no connection for 10 min"),
        ("signalled-by-user", {"sent": 1}, "SIGHUP sent by the user"),
        ("reload-refused", {}, "reload refused, nothing sent"),
        ("reload-refused", {"why": "exit code 1"}, "reload refused, nothing sent: exit code 1"),
        (
            "reload-refused",
            {"why": "exit code 1", "output": ["looking", "[emerg] line 1: what?", "test failed"]},
            "reload refused, nothing sent: exit code 1: [emerg] line 1: what?",
        ),
        (
            "reload-refused",
            {"why": "exit code 1", "output": ["looking", "not well"]},
            "reload refused, nothing sent: exit code 1: not well",
        ),
        ("exited", {"exit_code": 78, **AFTER_HUP}, "exited with code 78, 0.2 s after SIGHUP"),
        (
            "exited",
            {"exit_code": 1, "before_ready": True, **AFTER_HUP},
            "exited with code 1 before it was ready, 0.2 s after SIGHUP",
        ),
        ("killed-by-signal", {"signal": 11, **AFTER_HUP}, "killed by SIGSEGV, 0.2 s after SIGHUP"),
        ("signalled-by-user", {"signal": 9, "exit_code": None}, "ended by SIGKILL, which a user sent"),
        ("signalled-by-user", {"exit_code": 143}, "ended by a signal that a user sent, with exit code 143"),
        ("signalled-by-user", {}, "ended by a signal that a user sent"),
        ("exited", {"exit_code": 3, **RESTART}, "exited with code 3; next try in 0.21 s (2 of 5)"),
        ("exited", {"exit_code": 1, **RESTART, "delay_s": 0.0}, "exited with code 1; next try at once (2 of 5)"),
        ("exited", {"exit_code": 0, "before_ready": True}, "exited with code 0 before it was ready"),
        (
            "exited",
            {"exit_code": 0, "tree": "left behind"},
            "exited with code 0 and left processes behind: went to the background?",
        ),
        ("exited", {"exit_code": 1, "tree": "left behind"}, "exited with code 1"),
        ("killed-by-signal", {"signal": 9, **OOM}, "killed by the kernel: out of memory (memory.max 256 MiB)"),
        ("killed-by-signal", {"signal": 9, "out_of_memory": ""}, "killed by the kernel: out of memory"),
        ("killed-by-signal", {"signal": 9, "out_of_memory": None}, "killed by SIGKILL"),
        (
            "killed-by-signal",
            {"signal": 9, **OOM, **RESTART},
            "killed by the kernel: out of memory; next try in 0.21 s (2 of 5)",
        ),
        ("exited", {"exit_code": 137, **OOM}, "exited with code 137: out of memory (memory.max 256 MiB)"),
        ("killed-by-signal", {"signal": 11, **OPEN}, "killed by SIGSEGV; breaker open, next try in 1 min"),
        ("heartbeat-silent", RICH, "no heartbeat for 3.4 s (φ 8.12)"),
        ("heartbeat-silent", RICH | {"suspicion": 7790.0}, "no heartbeat for 3.4 s (φ over 999)"),
        ("heartbeat-silent", RICH | {"detector": "timeout"}, "no heartbeat for 3.4 s"),
        ("heartbeat-silent", {"silence_s": 2, "action": "report"}, "no heartbeat for 2 s (only reported)"),
        ("memory-limit", {"value": 629145600, "limit": 536870912}, "uses too much memory: 600 MiB of 512 MiB"),
        ("cpu-limit", {"value": 1.8, "limit": 1.5}, "uses too much CPU: 180 % of 150 %"),
        ("start-timeout", {"start_timeout_s": 30}, "not ready within 30 s"),
        ("ready", {"how": "http", "after_s": 0.2}, "ready after 0.2 s (http)"),
        ("target-infeasible", WISH, "5 s gives about 3/30d; 1/30d needs 7.2 s of silence"),
        ("target-infeasible", WISH | {"needs_s": None}, "5 s gives about 3/30d; 1/30d needs over a year of silence"),
        ("target-infeasible", {}, "its target cannot be met"),
        ("target-feasible", {"patience_s": 2.1}, "its target can be met: suspected after 2.1 s of silence"),
        ("exited", {"phase": "spawn"}, "its process is being started"),
        ("ready", {"pid": 7, "mainpid": True}, "its main process is now pid 7"),
        ("exited", {"exit_code": 1, "told": TOLD}, "exited with code 1; it said: Permission denied (ERRNO=13), x.No"),
        ("exited", {"exit_code": 1, "told": {"errno": 9999}}, "exited with code 1; it said: ERRNO=9999"),
        ("exited", {"exit_code": 1, "told": {"varlink": "x.No"}}, "exited with code 1; it said: x.No"),
        ("exited", {"exit_code": 1, "told": "?"}, "exited with code 1"),
        (
            "killed-by-signal",
            {"signal": 6, "told": TOLD, **RESTART},
            "killed by SIGABRT; next try in 0.21 s (2 of 5)",
        ),
        ("notify-refused", {"pid": 7}, 'notification of process 7 ignored (notify_access = "main")'),
        ("notify-refused", {}, 'notification of another process ignored (notify_access = "main")'),
        ("reload-done", {"after_s": 0.25}, "has reloaded its configuration, after 0.25 s"),
        ("reload-done", {}, "has reloaded its configuration"),
        (
            "reload-timeout",
            {"after_s": 30.0, "answered": True},
            "its reload did not end within 30 s (no READY=1); it runs on",
        ),
        (
            "reload-timeout",
            {"after_s": 30.0, "answered": False},
            "reload signal not answered within 30 s (no RELOADING=1); it runs on",
        ),
        ("reload-timeout", {}, "its reload did not end in time (no READY=1); it runs on"),
        ("clock-set", {"stepped_s": 0.5}, "the wall clock was set forwards by 0.5 s; no timeout depends on it"),
        ("clock-set", {"stepped_s": -0.5}, "the wall clock was set back by 0.5 s; no timeout depends on it"),
        ("a-cause-of-the-future", {}, "a-cause-of-the-future"),
    ],
)
def test_what_is_said(cause: str, detail: dict[str, Any], said: str) -> None:
    assert phrase(cause, detail) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (0.2134, "0.21 s"), (0.999, "1 s"), (3.42, "3.4 s"), (9.97, "10 s"), (59.9, "60 s"), (59.96, "1 min"),
     (125, "2 min 5 s"), (3600, "1 h"), (11_400, "3 h 10 min"), (352_800, "4 d 2 h"), (-90, "-1 min 30 s"),
     (None, "–"), (float("nan"), "–"), (float("inf"), "–")],
)  # fmt: skip
def test_spans(seconds: object, said: str) -> None:
    assert span(seconds) == said


@pytest.mark.parametrize(
    ("count", "said"),
    [(0, "0 B"), (900, "900 B"), (1536, "1.5 KiB"), (536_870_912, "512 MiB"), (5e13, "45 TiB"), (None, "–")],
)
def test_sizes(count: object, said: str) -> None:
    assert size(count) == said


def test_a_little_less_than_everything_is_not_everything() -> None:
    assert (percent(1.0), percent(0.9995), percent(0.9999999), percent(1.5), percent(None)) == (
        "100 %", "99.95 %", "99.999 %", "150 %", "–")  # fmt: skip


def test_signals() -> None:
    assert [signal_name(n) for n in (1, 9, 15, 31, 32, 33, 34, 37, 64, 65, None)] == [
        "SIGHUP", "SIGKILL", "SIGTERM", "SIGSYS", "signal 32", "signal 33", "SIGRTMIN", "SIGRTMIN+3", "SIGRTMIN+30",
        "signal 65", "signal None"]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("RTMIN", 34), ("SIGRTMIN", 34), ("sigrtmin+3", 37), ("RTMIN+30", 64), ("RTMAX", 64), ("RTMAX-1", 63),
        ("RTMAX-30", 34), ("RTMIN+31", None), ("RTMIN-1", None), ("RTMAX+1", None), ("RTMIN+", None),
        ("RTMIN+-3", None), ("RTMIN3", None), ("RTMIN+x", None), ("RTMAX--1", None), ("RTMIN+0003", None),
        ("TERM", None), ("", None),
    ],
)  # fmt: skip
def test_real_time_signals_by_name(name: str, number: int | None) -> None:
    assert real_time_signal(name) == number


@given(st.text(), st.integers(min_value=1, max_value=100))
def test_shortened_text_is_one_line_that_fits(text: str, maximum: int) -> None:
    line = shorten(text, maximum)
    assert len(line) <= maximum
    assert len(line.splitlines()) <= 1


@pytest.mark.parametrize(
    ("cause", "detail", "said"),
    [
        (Cause.PROCESS_SILENT, {"process": 7, "silence_s": 3.0}, "process 7 silent for 3 s"),
        (
            Cause.PROCESS_SILENT,
            {"process": 7, "silence_s": 30.0, "stopped_s": 8.0, "doing": "pay"},
            "process 7 silent for 30 s, stopped (SIGSTOP) for 8 s, in pay",
        ),
        (
            Cause.PROCESS_SILENT,
            {"process": 7, "silence_s": 30.0, "beat_once": True},
            "process 7 silent for 30 s since its first beat",
        ),
        (Cause.PROCESS_ENDED, {"process": 7, "doing": "a task"}, "process 7 silent, in a task: ended alone"),
        (
            Cause.PROCESS_ENDED,
            {"process": 7, "kills_in_window": 2, "max_restarts": 5},
            "process 7 silent: ended alone (2 of 5)",
        ),
        (Cause.PROCESS_HELD, {"process": 7, "held": "frozen"}, "silence of process 7 not counted: frozen"),
        (Cause.PROCESS_REPLACED, {"process": 8, "instead_of": 7}, "process 8 beats instead of 7"),
        (
            Cause.PROCESS_REPLACED,
            {"process": 8, "instead_of": 7, "after_s": 2.0},
            "process 8 beats instead of 7, 2 s after its end",
        ),
        (Cause.SILENT, {"process": 7, "silence_s": 3.0}, "process 7 silent for 3 s"),
        (Cause.SILENT, {"process": 7, "reason": "it does not end"}, "process 7 silent; it does not end"),
    ],
)
def test_a_process_that_beats_for_itself(cause: Cause, detail: dict[str, Any], said: str) -> None:
    assert phrase(cause, detail) == said
