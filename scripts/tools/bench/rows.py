"""The rows of the table, each with its goal."""

from __future__ import annotations

from scripts.tools.bench.figures import Goal, Row

# Besides systemd no peer detects a hang: elsewhere the limit is systemd's figure from a machine where it is PID 1.
AS_SOON_AS_SYSTEMD = Goal(peer="systemd", limit=997.0)

ROWS = (
    Row("kill-slow", "SIGKILL → next incarnation, 1.5 s apart", "ms", Goal(peer="bare Popen", factor=1.4), 2),
    Row("kill-fast", "SIGKILL → next incarnation, 0.2 s apart", "ms", Goal(peer="bare Popen", factor=1.4), 2),
    Row("burst", "100 killed at once → all back", "ms", Goal(peer="runit", factor=0.75)),
    Row("start-100", "start of 100 from launch", "s", Goal(peer="s6", factor=0.9), 3),
    Row("start-1000", "start of 1000 from launch", "s", Goal(peer="s6", factor=0.6), 3),
    Row("start-cpu-1000", "start of 1000: CPU until all are up", "s", None, 2),
    Row("start-5000", "start of 5000 from launch", "s", None, 2),
    Row("down-5000", "`down` of 5000 right after their start", "s", Goal(limit=2.0), 2),
    Row("pss-5000", "memory (PSS) with 5000", "MiB", Goal(limit=30.0)),
    Row("wakes-5000", "idle with 5000: wake-ups in 10 s", "", Goal(limit=0.0), 0),
    Row("stop-gone", "stop of 100: last victim gone", "ms", Goal(peer="s6", factor=0.6)),
    Row("stop-return", "stop of 100: command returns", "ms", Goal(limit=45.0)),
    Row("idle-cpu-100", "idle with 100: CPU", "%", Goal(limit=0.0005), 3),
    Row("idle-wakes-100", "idle with 100: wake-ups", "/s", Goal(limit=0.0), 1),
    Row("idle-cpu-1000", "idle with 1000: CPU", "%", Goal(limit=0.0005), 3),
    Row("idle-wakes-1000", "idle with 1000: wake-ups", "/s", Goal(limit=0.0), 1),
    Row("pss-100", "memory (PSS) with 100", "MiB", Goal(limit=14.0)),
    Row("pss-1000", "memory (PSS) with 1000", "MiB", Goal(limit=19.7)),
    Row("pss-slope", "memory per further service", "KiB", Goal(limit=12.0)),
    Row("beats-1000", "1,000 notify beats a second", "% CPU", Goal(limit=2.0), 2),
    Row("beats-10000", "10,000 notify beats a second", "% CPU", Goal(limit=9.0), 2),
    Row("beats-late", "10,000 notify beats a second: suspicions", "", Goal(limit=0.0), 0),
    Row("probe-new", "500 http probes a second, each over a new connection", "% CPU", Goal(limit=6.0), 2),
    Row("probe-kept", "500 http probes a second over kept connections", "% CPU", Goal(limit=6.0), 2),
    Row("dashboard-own", "dashboard of 200, one restart a second: its CPU", "%", Goal(limit=3.0), 2),
    Row("dashboard-daemon", "dashboard of 200, one restart a second: the daemon's CPU", "%", Goal(limit=1.0), 2),
    Row("capture-rate", "capture of 100-byte lines", "MB/s", Goal(peer="supervisord"), 0, higher_is_better=True),
    Row("capture-cpu", "capture: CPU", "s/GB", Goal(peer="bare splice", factor=1.15), 2),
    Row("capture-damage", "capture: lines lost, torn or repeated", "", Goal(limit=0.0), 0),
    Row(
        "capture-lines-rate",
        "capture, one write for each line",
        "MB/s",
        Goal(peer="supervisord"),
        0,
        higher_is_better=True,
    ),
    Row("capture-lines-cpu", "capture, one write for each line: CPU", "s/GB", Goal(peer="bare splice", factor=1.15), 2),
    Row(
        "capture-lines-damage", "capture, one write for each line: lines lost, torn or repeated", "", Goal(limit=0.0), 0
    ),
    Row("capture-stamped-cpu", "capture with timestamps: CPU", "s/GB", Goal(peer="s6", factor=0.7), 2),
    Row(
        "capture-stamped-lines-cpu",
        "capture with timestamps, one write for each line: CPU",
        "s/GB",
        Goal(peer="s6", factor=0.7),
        2,
    ),
    Row("status", "status with 100, whole process", "ms", Goal(peer="supervisord", factor=0.7)),
    Row("status-cpu", "status with 100: CPU / that of `python -c pass`", "", Goal(limit=3.0), 2),
    Row("status-json-cpu", "status --json with 100: the same", "", Goal(limit=2.5), 2),
    Row("status-tty-cpu", "status with 100 on a terminal: the same", "", Goal(limit=4.0), 2),
    Row("why-ledger", "why: CPU with 1,000,000 events / with few", "", Goal(limit=1.2), 2),
    Row("events-ledger", "events -n 50: CPU with 1,000,000 events / with few", "", Goal(limit=1.2), 2),
    Row("report-cpu", "report --since 1d, 100,000 events read: CPU", "s", Goal(limit=0.8), 2),
    Row("report-daemon-cpu", "report --since 1d, 100,000 events read: CPU of the daemon", "s", Goal(limit=0.05), 3),
    Row("scrape-cpu", "scrape with 500: CPU", "ms", Goal(limit=10.0)),
    Row("scrape-ratio", "scrape with 500 / answer of status", "", Goal(limit=0.35), 2),
    Row("scrape-beat", "scrape with 500: a beat waits", "ms", Goal(limit=2.0)),
    Row("scrape-wait", "scrape with 500: another request waits", "ms", Goal(limit=4.0)),
    Row("demand-added", "start on demand: added to the first request", "ms", Goal(limit=15.0)),
    Row("demand-ratio", "start on demand: first request / bare parent", "", Goal(limit=1.15), 2),
    Row("hang-timeout", "hang → next incarnation, watchdog 1 s", "ms", AS_SOON_AS_SYSTEMD, 0),
    Row("hang-phi", "hang → next incarnation, φ, at most 1 s", "ms", AS_SOON_AS_SYSTEMD, 0),
    Row("many-running", "2000 services, 1024 files soft: running", "", Goal(limit=2000.0), 0, higher_is_better=True),
    Row("many-start", "2000 services, 1024 files soft: start", "s", None, 2),
)
