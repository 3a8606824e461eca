"""Several clusters of three hosts side by side, each a process of its own with a seed of its own: a fault mostly
waits."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence

from scripts.tools.chaos.cluster_judge import tell_figures, together
from scripts.tools.chaos.cluster_times import Times
from scripts.tools.chaos.private_daemon import JSON, ROOT, tell


def side_by_side(
    clusters: int, count: int, seed: int, times: Times, only: Sequence[str], seconds: float | None,
    say: Callable[[str], None],
) -> JSON:  # fmt: skip
    """`count` faults over so many clusters, whose seeds follow each other; `seconds`: no fault begins later."""
    options = ["--session", f"{1000 * times.session:.0f}ms", "--only", ",".join(only)]
    options += ["--for", f"{seconds:g}s"] if seconds is not None else []
    shares = [count // clusters + (n < count % clusters) for n in range(clusters)]
    reports: list[JSON] = []
    processes: list[subprocess.Popen[str]] = []
    threads = [
        threading.Thread(target=_follow, args=(share, seed + n, options, say, reports, processes))
        for n, share in enumerate(shares)
        if share
    ]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except KeyboardInterrupt:
        for process in processes:
            process.send_signal(signal.SIGINT)
        for thread in threads:
            thread.join()
    whole = together(sorted(reports, key=lambda one: int(one["seed"])))
    if missing := len(threads) - len(reports):
        whole["violations"].append(f"{missing} of {len(threads)} clusters have ended without a report")
    tell_figures(whole, say)
    return tell(whole, say)


def _follow(
    count: int, seed: int, options: Sequence[str], say: Callable[[str], None], reports: list[JSON],
    processes: list[subprocess.Popen[str]],
) -> None:  # fmt: skip
    command = [sys.executable, "-m", "scripts.tools.chaos", "--cluster", str(count), "--seed", str(seed), "--json"]
    command += options
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        processes.append(process)
        assert process.stdout is not None and process.stderr is not None
        for line in process.stderr:
            say(f"{seed:3}  {line.rstrip()}")
        if text := process.stdout.read():
            reports.append(json.loads(text))
