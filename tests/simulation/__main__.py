"""`scripts/simulate`: hours of failures from seeds, on as many processes as are wanted."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.run import Result, run


def _result(job: tuple[int, float]) -> Result:
    return run(*job)


def results(seeds: Iterable[int], hours: float, jobs: int) -> Iterator[Result]:
    """Each seed's, in any order that time gives."""
    work = [(seed, hours) for seed in seeds]
    if jobs == 1:
        yield from map(_result, work)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(_result, work, chunksize=4)


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
    options = parser.parse_args()
    if options.replay is not None:
        return replay(options.replay, options.hours)
    began = time.monotonic()
    faults: Counter[str] = Counter()
    hours, checks, bad = 0.0, 0, 0
    seeds = range(options.from_seed, options.from_seed + options.seeds)
    for done, result in enumerate(results(seeds, options.hours, options.jobs), 1):
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
