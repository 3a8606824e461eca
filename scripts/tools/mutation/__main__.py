"""Changes the rules at single places, one after the other, and reports which changes no test finds.

A change swaps a comparison or a branch, drops an assignment or a call, or alters a number or a truth value.  It is made
in a copy of the tree, and these stages run until one fails:

core         the tests of tests/core that run the changed line, without the slow ones
golden       those of tests/golden and tests/daemon
cluster      for core/cluster: those of tests/simulation/cluster
simulation   scripts/simulate with a few seeds, where it runs the line

Before that all of them run once without a change, under coverage, which tells who runs which line.

Results are kept in a file, one JSON object per line; a place whose result is known is not tried again.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

from scripts.tools.mutation import campaign
from scripts.tools.mutation.concerned import concerned
from scripts.tools.mutation.lines import Lines
from scripts.tools.mutation.places import Place
from scripts.tools.mutation.trial import Result, Stage

ROOT = Path(__file__).parents[3]
SOURCES = ("supervisor/core", "supervisor/daemon")
RULES = ("supervisor/core/**/*.py", "supervisor/daemon/recovery.py")
PYTEST_OPTIONS = ("-x", "-q", "-m", "not slow", "-p", "no:cacheprovider", "--hypothesis-seed=0")
STAGES = ("core", "golden", "cluster", "simulation")


def _pytest(name: str, *folders: str, only: str = "supervisor/") -> Stage:
    """Tests below the folders, for a change in a file whose path begins with `only`."""

    def arguments(root: Path, place: Place | None, lines: Lines | None) -> Sequence[str]:
        if place is None:
            return ["-m", "pytest", *PYTEST_OPTIONS, *folders]
        if not place.path.startswith(only):
            return []
        tests = concerned(root, place, folders, lines)
        return ["-m", "pytest", *PYTEST_OPTIONS, *tests] if tests else []

    sources = [f"--cov={source}" for source in SOURCES]
    return Stage(name, arguments, lambda all_tests: [*all_tests, *sources, "--cov-context=test", "--cov-report="])


def _simulation(seeds: int) -> Stage:
    words = ["-m", "tests.simulation", "--seeds", str(seeds), "--hours", "3", "--jobs", "1"]

    def arguments(root: Path, place: Place | None, lines: Lines | None) -> Sequence[str]:
        run = lines.contexts(place) if lines and place else None
        return [] if run is not None and not run else words

    return Stage(
        "simulation",
        arguments,
        lambda all_of_it: ["-m", "coverage", "run", f"--source={','.join(SOURCES)}", *all_of_it],
    )


def _stages(names: Sequence[str], seeds: int) -> list[Stage]:
    known = {
        "core": _pytest("core", "tests/core"),
        "golden": _pytest("golden", "tests/golden", "tests/daemon"),
        "cluster": _pytest("cluster", "tests/simulation/cluster", only="supervisor/core/cluster/"),
        "simulation": _simulation(seeds),
    }
    return [known[name] for name in names]


def _tell(result: Result) -> None:
    fate = f"found by {result.found_by}: {result.how}" if result.found_by else "SURVIVED"
    print(f"{result.id}  {fate}\n    {result.line}\n    → {result.text}", flush=True)


def _sum_up(results: Sequence[Result]) -> int:
    """The numbers, and all survivors again."""
    stages = Counter(result.found_by for result in results)
    survivors = [result for result in results if not result.found_by]
    told = ", ".join(f"{count} found by {name}" for name, count in stages.most_common() if name)
    print(f"\n{len(results)} changes tried: {told or 'none found'}, {len(survivors)} survived")
    for result in survivors:
        print(f"{result.id}\n    {result.line}\n    → {result.text}")
    return 1 if survivors else 0


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/mutate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=300, metavar="N", help="how many places [%(default)s]")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="other places [0]")
    parser.add_argument("--files", default="*", metavar="PATTERN", help="only these files, as '*/lifecycle/*'")
    parser.add_argument("--only", action="append", metavar="ID", help="only this place, also when its result is known")
    parser.add_argument("--stages", default=",".join(STAGES), help="in their order [%(default)s]")
    parser.add_argument("--seeds", type=int, default=40, metavar="N", help="of the simulation [%(default)s]")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="changes tried at the same time [1]")
    parser.add_argument(
        "--results", type=Path, default=Path("mutation-results.jsonl"), metavar="FILE", help="[%(default)s]"
    )
    parser.add_argument("--list", action="store_true", help="only list the places that would be tried")
    parser.add_argument("--json", action="store_true", help="print the results as one JSON array")
    options = parser.parse_args()
    names = options.stages.split(",")
    unknown = sorted(set(names) - set(STAGES))
    if unknown:
        parser.error(f"no such stage: {', '.join(unknown)} (known: {', '.join(STAGES)})")
    files = sorted(str(path.relative_to(ROOT)) for pattern in RULES for path in ROOT.glob(pattern))
    found = campaign.all_places(ROOT, [file for file in files if fnmatch(file, options.files)])
    todo = [p for p in found if p.id in options.only] if options.only else []
    if options.only and len(todo) < len(set(options.only)):
        parser.error(f"no such place: {', '.join(sorted(set(options.only) - {p.id for p in todo}))} (see --list)")
    wanted: list[Place] = todo or campaign.chosen(found, options.count, options.seed)
    if options.list:
        for place in wanted:
            print(f"{place.id}  → {place.text}")
        return 0
    return _run(options, wanted, _stages(names, options.seeds))


def _run(options: argparse.Namespace, wanted: Sequence[Place], stages: Sequence[Stage]) -> int:
    known = {} if options.only else campaign.known_results(options.results)
    done = {p.id: known[p.id] for p in wanted if campaign.still_holds(ROOT, p, known.get(p.id))}

    def report(result: Result) -> None:
        done[result.id] = result
        with open(options.results, "a") as file:
            file.write(json.dumps(result.as_dict(), ensure_ascii=False) + "\n")
        if not options.json:
            _tell(result)

    try:
        campaign.run(ROOT, [p for p in wanted if p.id not in done], stages, options.jobs, report)
    except campaign.BrokenBefore as broken:
        print(f"scripts/mutate: without any change this fails already: {broken}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps([result.as_dict() for result in done.values()], ensure_ascii=False, indent=2))
        return 1 if any(not result.found_by for result in done.values()) else 0
    return _sum_up(list(done.values()))


if __name__ == "__main__":
    sys.exit(main())
