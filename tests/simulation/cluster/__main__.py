"""`scripts/simulate cluster --for SECONDS`: a cluster's failures from seeds, on as many processes as are
wanted."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from functools import partial
from itertools import count

from tests.simulation.cluster.run import Result, run


def results(first: int, seconds: float, jobs: int, pushes: bool | None) -> Iterator[Result]:
    """Seeds from `first` on, until the time is over."""
    one = partial(run, pushes=pushes)
    ends = time.monotonic() + seconds
    seeds = count(first)
    if jobs == 1:
        while time.monotonic() < ends:
            yield one(next(seeds))
        return
    with ProcessPoolExecutor(jobs) as pool:
        under_way = {pool.submit(one, next(seeds)) for _ in range(2 * jobs)}
        while under_way:
            done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
            if time.monotonic() < ends:
                under_way |= {pool.submit(one, next(seeds)) for _ in done}
            yield from (future.result() for future in done)


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/simulate cluster", description=__doc__)
    parser.add_argument("--for", type=float, default=60.0, metavar="SECONDS", dest="seconds", help="how long [60]")
    parser.add_argument("--from-seed", type=int, default=0, metavar="S", help="the first seed [0]")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="processes [2]")
    parser.add_argument("--replay", type=int, metavar="SEED", help="tell everything that happens in one seed")
    parser.add_argument("--pushes", action="store_true", default=None, help="push configurations [in each fourth seed]")
    options = parser.parse_args()
    if options.replay is not None:
        result = run(options.replay, trace=print, pushes=options.pushes)
        print(f"\n{result.violation or 'no violation'}")
        return 1 if result.violation else 0
    began = time.monotonic()
    faults: Counter[str] = Counter()
    seeds = checks = bad = 0
    hours = played = 0.0
    for result in results(options.from_seed, options.seconds, options.jobs, options.pushes):
        seeds += 1
        hours += result.hours
        played += result.played
        checks += result.checks
        faults += result.faults
        if result.violation:
            bad += 1
            print(f"seed {result.seed}: {result.violation}", flush=True)
    for name, number in faults.most_common():
        print(f"{number:>10,}  {name}")
    took = time.monotonic() - began
    print(
        f"\n{seeds:,} seeds, {hours:,.0f} cluster-hours ({played:,.1f} of them event by event, the others at rest) in"
        f" {took:.0f} s, {sum(faults.values()):,} faults, {checks:,} checks: {bad} violations"
    )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
