"""Feeds random input to the parts that read from outside, and reports what breaks.

notify   datagrams to the notify socket, from services and other processes
http     requests to the control API, over the Unix socket and over TCP
toml     configurations

No exception may be raised but those documented, no input may take longer than five seconds, and no order may reach a
service but by a valid request.  An input that breaks something is saved as a file, which --replay runs again.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from scripts.tools.fuzz import campaign


def _notify() -> campaign.Target:
    from scripts.tools.fuzz.target_notify import NotifyTarget

    return NotifyTarget()


def _http() -> campaign.Target:
    from scripts.tools.fuzz.target_http import HttpTarget

    return HttpTarget()


def _toml() -> campaign.Target:
    from scripts.tools.fuzz.target_toml import TomlTarget

    return TomlTarget()


TARGETS: dict[str, Callable[[], campaign.Target]] = {"notify": _notify, "http": _http, "toml": _toml}


def _one(name: str, job: tuple[int, int]) -> campaign.Result:
    inputs, seed = job
    return campaign.run(TARGETS[name](), inputs, seed)


def fuzz(name: str, inputs: int, seed: int, jobs: int) -> campaign.Result:
    """Run `inputs` inputs on `jobs` processes."""
    shares = [(inputs // jobs + (i < inputs % jobs), seed * 1000 + i) for i in range(jobs)]
    total = campaign.Result()
    if jobs == 1:
        return _one(name, shares[0])
    with ProcessPoolExecutor(jobs, get_context("fork")) as pool:
        for result in pool.map(partial(_one, name), shares):
            total.add(result)
    return total


def tell(name: str, result: campaign.Result, directory: Path) -> int:
    """Print the figures, and each finding with the file to replay it from."""
    rate = result.inputs / max(result.seconds, 1e-9)
    print(f"{name}: {result.inputs:,} inputs in {result.seconds:.0f} s ({rate:,.0f} a second)")
    for outcome, count in result.outcomes.most_common():
        print(f"{count:>12,}  {outcome}")
    crashes, hangs = result.outcomes["crash"], result.outcomes["hang"]
    for finding in result.findings:
        path = campaign.save(finding, name, directory)
        print(f"\n{finding.trace}\nscripts/fuzz {name} --replay {path}")
    print(f"{crashes} crashes, {hangs} hangs, 0 services touched" if not result.findings else "FAILED")
    return 1 if result.findings else 0


def again(name: str, path: Path) -> int:
    """Replay a saved input."""
    finding = campaign.replay(TARGETS[name](), path.read_bytes())
    print(finding.trace if finding else "nothing happens")
    return 1 if finding else 0


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--inputs", type=int, default=20_000, metavar="N", help="how many [%(default)s]")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="other inputs [0]")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), metavar="N", help="processes [2]")
    parser.add_argument(
        "--save", type=Path, default=Path("fuzz-findings"), metavar="DIR", help="where to [%(default)s]"
    )
    parser.add_argument("--replay", type=Path, metavar="FILE", help="run one saved input again")
    options = parser.parse_args()
    if options.replay:
        return again(options.target, options.replay)
    result = fuzz(options.target, options.inputs, options.seed, max(1, min(options.jobs, options.inputs)))
    return tell(options.target, result, options.save)


if __name__ == "__main__":
    sys.exit(main())
