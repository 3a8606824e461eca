"""scripts/bench: measures this supervisor and its peers in the same way, in one run, and prints one table."""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import signal
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from scripts.tools.bench import (
    capturing,
    commands,
    demand,
    page,
    peers,
    scaling,
    scenarios,
    scrape,
    subreaper,
    table,
    victims,
    watching,
)
from scripts.tools.bench.figures import OURS, Row, median, select_rows
from scripts.tools.bench.install import Absent
from scripts.tools.bench.peers.base import Peer
from scripts.tools.bench.peers.revision import revision
from scripts.tools.bench.rows import ROWS

SEED = 20


def parse_arguments(argv: list[str]) -> argparse.Namespace:
    names = [peer.name for peer in peers.ALL]
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer samples: four to six minutes with every peer")
    parser.add_argument("--only", nargs="+", default=[], metavar="ROW", help="rows by key or its beginning")
    parser.add_argument("--peers", metavar="A,B", help=f"those beside ours: {', '.join(names)}, or none")
    parser.add_argument("--against", metavar="COMMIT", help="an earlier commit of this repository as well")
    parser.add_argument("--rounds", type=int, default=1, metavar="N", help="measure all systems so often, in turn [1]")
    parser.add_argument("--without-ours", action="store_true", help="measure the peers alone")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample there as well")
    parser.add_argument("--docs", action="store_true", help="write the tables into docs/performance.md as well")
    parser.add_argument(
        "--docs-from",
        dest="measured",
        nargs="+",
        type=Path,
        default=[],
        metavar="FILE",
        help="only write the tables, from what --json wrote; of a row that several files have, the last one counts",
    )
    parser.add_argument("--detectors", action="store_true", help="only the failure detectors: time a beat, and memory")
    parser.add_argument("--balancing", action="store_true", help="only HAProxy in front of replicas: lost requests")
    parser.add_argument("--web", action="store_true", help="only the web view in chromium: paint, change, CPU time")
    parser.add_argument("--list", action="store_true", help="list the keys of the rows")
    arguments = parser.parse_args(argv)
    try:
        arguments.rows = select_rows(ROWS, arguments.only)
    except KeyError as unknown:
        parser.error(f"no such row: {unknown.args[0]} (--list shows them)")
    asked = names if arguments.peers is None else [name.strip() for name in arguments.peers.split(",")]
    if unknown_peers := set(asked) - set(names) - {"none"}:
        parser.error(f"no such system: {', '.join(sorted(unknown_peers))}; there are: {', '.join(names)}")
    chosen = set(asked) - {OURS} if arguments.without_ours else {*asked, OURS}
    arguments.systems = [peer for peer in peers.ALL if peer.name in chosen]
    if arguments.against is not None:
        try:
            arguments.systems.insert(0, revision(arguments.against))
        except Absent as error:
            parser.error(str(error))
    return arguments


class Run:
    """The samples of one run, measured system by system."""

    def __init__(self, rows: list[Row], effort: scenarios.Effort, scratch: Path, progress: Console) -> None:
        self.keys = {row.key for row in rows}
        self.effort, self.scratch, self.progress = effort, scratch, progress
        self.victim = victims.build(scratch)
        self.samples: dict[str, dict[str, list[float]]] = defaultdict(dict)
        self.versions: dict[str, str] = {}
        self.absent: dict[str, str] = {}
        self.floors: list[str] = []
        self.builds: list[str] = []

    def measure(self, kind: type[Peer]) -> None:
        """Measure one system; what fails is reported and left out, and the run continues."""
        folder = self.scratch / kind.__name__.lower()
        folder.mkdir()
        journal = victims.Journal(folder / "journal")
        try:
            peer = kind()
            version = peer.version()
            bench = self._bench(peer, journal, folder)
            scenarios.works(bench, peer)
        except (Absent, OSError, IndexError, victims.TooLate) as error:
            self.absent[kind.name] = str(error)
            self._say(kind.name, f"left out: {error}", "yellow")
        else:
            self.versions[peer.name] = version
            if (peer.is_floor or peer.is_build) and peer.name not in self.floors:
                self.floors.append(peer.name)
            if peer.is_build and peer.name not in self.builds:
                self.builds.append(peer.name)
            for scenario in (
                *scenarios.SCENARIOS,
                capturing.capture,
                scaling.thousands,
                *watching.SCENARIOS,
                commands.commands,
                scrape.scrape,
                demand.demand,
            ):
                self._live(scenario, bench, peer)
            self._derive_slope(peer.name)
        finally:
            journal.close()
            shutil.rmtree(folder)

    def _live(self, scenario: Callable[[scenarios.Bench, Peer], None], bench: scenarios.Bench, peer: Peer) -> None:
        before = {key: len(by.get(peer.name, ())) for key, by in self.samples.items()}
        try:
            scenario(bench, peer)
        except (victims.TooLate, TimeoutError, OSError) as error:
            self._say(peer.name, f"{scenario.__name__}: {error}", "red")
        for key, by in self.samples.items():
            samples = by.get(peer.name, [])[before.get(key, 0) :]
            if (value := median(samples)) is not None:
                self._say(peer.name, f"{key} {value:.4g} (of {len(samples)})")

    def _bench(self, peer: Peer, journal: victims.Journal, folder: Path) -> scenarios.Bench:
        def wanted(key: str) -> bool:
            measured = key in self.keys or (key.startswith("pss") and "pss-slope" in self.keys)
            return measured and not any(key.startswith(skip) for skip in peer.skips)

        def record(key: str, sample: float) -> None:
            if wanted(key):
                self.samples[key].setdefault(peer.name, []).append(sample)

        return scenarios.Bench(self.victim, journal, folder, self.effort, record, wanted, random.Random(SEED))

    def _derive_slope(self, system: str) -> None:
        medians = {key: value for key, by in self.samples.items() if (value := median(by.get(system, []))) is not None}
        if (slope := scenarios.pss_slope(medians)) is not None:
            self.samples["pss-slope"][system] = [slope]

    def _say(self, system: str, what: str, style: str = "") -> None:
        self.progress.print(f"{system}: {what}", style=style, highlight=False, soft_wrap=True)


def machine() -> dict[str, Any]:
    return {
        "kernel": platform.release(),
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "load_before": os.getloadavg()[0],
    }


def main(argv: list[str]) -> int:
    arguments = parse_arguments(argv)
    if arguments.list:
        print("\n".join(f"{row.key:16} {row.title} [{row.unit}]" for row in ROWS))
        return 0
    if arguments.measured:
        page.write([json.loads(file.read_text()) for file in arguments.measured])
        return 0
    if arguments.detectors:
        from scripts.tools.bench.detectors import detectors

        return detectors(Console())
    if arguments.balancing:
        from scripts.tools.bench import balancing

        return balancing.main(quick=arguments.quick)
    if arguments.web:
        from scripts.tools.bench import web

        return web.main(quick=arguments.quick)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    subreaper.enter()
    about = machine()
    with tempfile.TemporaryDirectory(prefix="phi-bench-") as scratch:
        try:
            effort = scenarios.QUICK if arguments.quick else scenarios.FULL
            run = Run(arguments.rows, effort, Path(scratch), Console(stderr=True))
        except FileNotFoundError as error:
            print(f"The bench is skipped: {error}", file=sys.stderr)
            return 0
        for turn in range(arguments.rounds):  # to and fro: what one leaves behind slows the next one down
            for kind in arguments.systems[:: -1 if turn % 2 else 1]:
                run.measure(kind)
    # Without a terminal a folded table is hard to read: print it in full width.
    console = Console() if sys.stdout.isatty() else Console(width=250)
    table.render(console, arguments.rows, run.samples, list(run.versions), run.floors, run.absent, about["load_before"])
    found = table.as_json(arguments.rows, run.samples, run.versions, run.floors, run.absent, about, run.builds)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    if arguments.docs:
        page.write([found])
    return 0


sys.exit(main(sys.argv[1:]))
