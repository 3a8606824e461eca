"""Judges what became of the exclusive trees that a fault in a cluster has hit, and adds up reports of several runs.

`python -m scripts.tools.chaos.cluster_judge FILE…` prints the figures of several: each file is what `--json` has
printed, or a `seen.json` from the folder of a cluster whose process was killed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from scripts.tools.chaos.cluster_observer import Run

JSON = dict[str, Any]
IN_TIME, WENT_ON, LATE = "gone by the lease's end", "went on under its lease", "late"
UNSEEN = "not seen"
"""It was there before its lease's end and gone after it, and the observer was starved in between."""
ENDS_ALL = "ensemble down"
NO_CONTACT = frozenset(
    {
        "daemon killed", "daemon stopped", "agent stopped", "daemon and agent killed", "daemon and agent stopped",
        "link down", "one direction cut", "host dies", ENDS_ALL,
    }
)  # fmt: skip
"""From the begin of such a fault nothing can prolong the leases of the host: they end within a session."""
PROVEN = (
    "daemon killed", "daemon stopped", "daemon starved", "agent killed", "agent stopped", "agent starved",
    "dead-man killed", "dead-man stopped", "dead-man starved", "daemon and agent killed", "daemon and agent stopped",
    "daemon and agent starved", "link down", ENDS_ALL,
)  # fmt: skip
"""The faults after which a tree must be gone by its lease's end, if its lease ends."""


def verdict(run: Run, began: float, session: float, unowned: float | None, *, no_contact: bool) -> str:
    """What became of the tree of a run that was there when a fault began.

    `unowned`: when ZooKeeper had its owner's node no more; None: it is still there.  `no_contact`: from the begin
    of the fault nothing could prolong its lease, so that its end is known without ZooKeeper, too."""
    if run.gone is None:
        return WENT_ON if unowned is None else LATE
    earliest, latest = (run.gone_after, run.gone) if run.said_end is None else (run.said_end, run.said_end)
    over = min(unowned if unowned is not None else latest, began + session if no_contact else latest)
    return LATE if earliest > over else UNSEEN if latest > over else IN_TIME


def figures(report: JSON) -> list[str]:
    """The rows of the figures: what was reached of what must be."""
    trees = {kind: Counter(found) for kind, found in report["trees"].items()}
    proven: Counter[str] = Counter()
    for kind in PROVEN:
        proven.update(trees.get(kind, {}))
    bad, late = len(report["violations"]), len(report["late"])
    count = f"random faults on three hosts: {report['faults']}, runs of slots: {report['runs']}"
    lines = [f"{count}; violations: {bad}, late: {late}"]
    head = f"{'FAULT':<26}{'FAULTS':>7}{'TREES HIT':>11}{'GONE IN TIME':>14}{'WENT ON':>9}{'LATE':>6}{'NOT SEEN':>10}"
    lines.append(f"{head}  FREE FOR")
    for kind, count in sorted(report["kinds"].items()):
        found, gaps = trees.get(kind, Counter()), report["takeovers"].get(kind, [])
        free = f"median {statistics.median(gaps):.2f} s, worst {max(gaps):.2f} s of {len(gaps)}" if gaps else "–"
        row = f"{kind:<26}{count:>7}{found.total():>11}{found[IN_TIME]:>14}{found[WENT_ON]:>9}{found[LATE]:>6}"
        lines.append(f"{row}{found[UNSEEN]:>10}  {free}")
    ended = proven[IN_TIME] + proven[LATE] + proven[UNSEEN]
    lines.append(
        f"part killed, stopped or starved; link down; ensemble down: the tree was gone by its lease's end in "
        f"{proven[IN_TIME]} of {ended}; {proven[WENT_ON]} more went on under a lease that was prolonged"
    )
    return lines


def together(reports: Iterable[JSON]) -> JSON:
    """One report of several runs."""
    whole: JSON = {"faults": 0, "runs": 0, "seeds": [], "kinds": {}, "trees": {}, "takeovers": {}}
    whole |= {"violations": [], "late": []}
    for one in reports:
        whole["faults"] += one["faults"]
        whole["runs"] += one["runs"]
        seeds = [one["seed"]] if "seed" in one else one["seeds"]
        whole["seeds"] += seeds
        for key in ("violations", "late"):
            whole[key] += [f"seed {one['seed']}: {text}" if "seed" in one else text for text in one[key]]
        whole["kinds"] = dict(Counter(whole["kinds"]) + Counter(one["kinds"]))
        for kind, found in one["trees"].items():
            whole["trees"][kind] = dict(Counter(whole["trees"].get(kind, {})) + Counter(found))
        for kind, gaps in one["takeovers"].items():
            whole["takeovers"].setdefault(kind, []).extend(gaps)
    return whole


def tell_figures(report: JSON, say: Callable[[str], None]) -> None:
    """Print the rows."""
    for line in figures(report):
        say(line)
    for text in report["late"]:
        say(f"LATE: {text}")


def read(file: str) -> JSON:
    """The report in a file.  ArgumentTypeError where there is none."""
    try:
        found: JSON = json.loads(Path(file).read_text())
        report: JSON = found.get("report", found)
        together([report])
    except (OSError, ValueError, AttributeError, LookupError, TypeError) as error:
        raise argparse.ArgumentTypeError(f"{file} has no report: {error!r}") from error
    return report


def main(arguments: Sequence[str]) -> int:
    """Print the figures of these reports; 1: there was a violation, or something late."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.tools.chaos.cluster_judge", description="Adds up the reports of several runs."
    )
    parser.add_argument("reports", nargs="+", type=read, metavar="FILE", help="output of --json, or a seen.json")
    whole = together(parser.parse_args(arguments).reports)
    tell_figures(whole, print)
    for text in whole["violations"]:
        print(f"VIOLATION: {text}")
    return 1 if whole["violations"] or whole["late"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
