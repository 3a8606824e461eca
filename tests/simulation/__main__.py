"""`scripts/simulate`: hours of failures from seeds, on as many processes as are wanted."""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

from tests.simulation.run import Result, run

Job = tuple[int, float]
"""A seed and its hours."""
T = TypeVar("T")


def _result(job: Job) -> Result:
    return run(*job)


def _digest(job: Job) -> str:
    """The seed, and the SHA-256 of all lines of its trace, each with its newline."""
    found = hashlib.sha256()
    result = run(*job, lambda line: found.update(f"{line}\n".encode()))
    return f"{job[0]} {found.hexdigest()}" + (f"  {result.violation}" if result.violation else "")


def each(work: Callable[[Job], T], seeds: Iterable[int], hours: float, jobs: int) -> Iterator[T]:
    """The result of `work` for each seed, in the order of the seeds."""
    todo = [(seed, hours) for seed in seeds]
    if jobs == 1:
        yield from map(work, todo)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(work, todo, chunksize=4)


def replay(seed: int, hours: float) -> int:
    """Everything that happens, line by line."""
    result = run(seed, hours, print)
    print(f"\n{result.violation or 'no violation'}")
    return 1 if result.violation else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, metavar="N", help="how many [%(default)s]")
    parser.add_argument(
        "--hours", type=float, default=10.0, metavar="H", help="of faults in each, two of peace follow [10]"
    )
    parser.add_argument("--from-seed", type=int, default=0, metavar="S", help="the first seed [0]")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="processes [2]")
    parser.add_argument("--replay", type=int, metavar="SEED", help="tell everything that happens in one seed")
    parser.add_argument(
        "--digest",
        action="store_true",
        help="print one line per seed, the seed and the SHA-256 of its trace, and nothing else: two checkouts whose"
        " lines are equal behave alike (compare them with diff)",
    )
    options = parser.parse_args()
    if options.replay is not None:
        return replay(options.replay, options.hours)
    seeds = range(options.from_seed, options.from_seed + options.seeds)
    if options.digest:
        for line in each(_digest, seeds, options.hours, options.jobs):
            print(line)
        return 0
    began = time.monotonic()
    faults: Counter[str] = Counter()
    hours, checks, bad = 0.0, 0, 0
    for done, result in enumerate(each(_result, seeds, options.hours, options.jobs), 1):
        hours += result.hours
        checks += result.checks
        faults += result.faults
        if result.violation:
            bad += 1
            print(f"seed {result.seed}: {result.violation}")
            print(f"  scripts/simulate --hours {options.hours:g} --replay {result.seed}")
        if sys.stderr.isatty():
            print(f"\r{done} of {len(seeds)} seeds, {hours:,.0f} h", end="", file=sys.stderr, flush=True)
    took = time.monotonic() - began
    print("\nFAULTS INJECTED" if sys.stderr.isatty() else "FAULTS INJECTED")
    for name, count in faults.most_common():
        print(f"{count:>10,}  {name}")
    crashes = sum(n for name, n in faults.items() if name.startswith("supervisor killed:"))
    print(
        f"\n{hours:,.0f} simulated hours in {took:.0f} s ({hours / took:.0f} hours a second),"
        f" {sum(faults.values()):,} faults, {crashes:,} deaths of the supervisor, {checks:,} checks: {bad} violations"
    )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
