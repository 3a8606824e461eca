"""`detectors compare`: measures failure detectors on the same beats."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from supervisor.cli.daemon_target import on_terminal
from supervisor.cli.options import colored, picture
from supervisor.errors import UsageError

if TYPE_CHECKING:
    from supervisor.detectorlab.scenarios import TraceSource

JSON = dict[str, Any]

BEATS, TRACES = 60_000, 2
FULL_BEATS, FULL_TRACES = 200_000, 4


@click.command()
@click.option("--scenario", "scenarios", multiple=True, metavar="NAME", help="Only this scenario.  Repeatable.  [all]")
@click.option("--detector", "detectors", multiple=True, metavar="NAME", help="Only this detector.  Repeatable.  [all]")
@click.option(
    "--trace", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="Use recorded beats: a CSV file of arrival times in seconds, with send times in a second column if known.",
)  # fmt: skip
@click.option("--full", is_flag=True, help=f"{FULL_TRACES} × {FULL_BEATS:,} beats per scenario: half an hour or more.")
@click.option("--beats", type=click.IntRange(5_000, 10_000_000), help=f"Beats per trace.  [{BEATS}]", metavar="N")
@click.option("--seed", type=click.IntRange(0), default=0, help="Seed of the random numbers.  [0]", metavar="N")
@click.option("--jobs", type=click.IntRange(1, 256), help="Worker processes.  [one per core]", metavar="N")
@click.option(
    "--plot", type=click.Path(dir_okay=False, path_type=Path), callback=picture, metavar="FILE",
    help="Also draw the curves into a .png, .svg or .html file.",
)  # fmt: skip
@click.option("--markdown", is_flag=True, help="Print the tables as Markdown.")
@click.option("--json", "as_json", is_flag=True, help="Print all results as one JSON object.")
def compare(
    scenarios: tuple[str, ...],
    detectors: tuple[str, ...],
    trace: Path | None,
    full: bool,
    beats: int | None,
    seed: int,
    jobs: int | None,
    plot: Path | None,
    markdown: bool,
    as_json: bool,
) -> None:
    """Compare the mistakes of failure detectors on the same beats.

    All are tuned to the same detection time.  A mistake is a beat that arrives after suspicion has begun.  Takes a few
    minutes for all scenarios on two cores.

    Example: supervisor detectors compare"""
    import os

    from supervisor.detectorlab.comparison import compare as run
    from supervisor.detectorlab.comparison import known
    from supervisor.detectorlab.experiment import Setup

    names = _chosen("detector", detectors, known())
    if plot is not None:
        from supervisor.detectorlab.figure_file import figure

        figure(1.0, 1.0)  # fails now instead of after minutes where a library is missing
    sources = _sources(scenarios, trace)
    setup = Setup(beats or (FULL_BEATS if full else BEATS), 1 if trace else FULL_TRACES if full else TRACES, seed)
    if trace:
        setup = Setup(10**9, 1, 0)
    with _bar() as progress:
        found = run(setup, sources, names, jobs or len(os.sched_getaffinity(0)), progress)
    if plot is not None:
        from supervisor.detectorlab.compareplot import draw

        draw(found, plot)
    if as_json:
        from json import dumps

        click.echo(dumps(found))
        return
    for line in _told(found, markdown):
        click.echo(line)


def _sources(scenarios: tuple[str, ...], trace: Path | None) -> list[TraceSource]:
    from supervisor.detectorlab.scenarios import SCENARIOS

    if trace is None:
        chosen = _chosen("scenario", scenarios, [s.name for s in SCENARIOS])
        return [s for s in SCENARIOS if s.name in chosen]
    if scenarios:
        raise UsageError("--scenario and --trace exclude each other")
    from supervisor.detectorlab.trace_file import read

    return [read(trace)]


def _chosen(what: str, names: tuple[str, ...], known: list[str]) -> list[str]:
    for name in names:
        if name not in known:
            raise UsageError(f"no {what} {name!r}", f"There are {', '.join(known)}.")
    return [name for name in known if not names or name in names]


@contextmanager
def _bar() -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr, if that is a terminal."""
    import sys

    if not on_terminal(sys.stderr):
        yield lambda done, of: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("comparing")
        yield lambda done, of: progress.update(task, completed=done, total=of)


def _told(found: JSON, markdown: bool) -> Iterator[str]:
    from supervisor.detectorlab.comparetext import details, summary

    if len(found["scenarios"]) > 1:
        yield from summary(found, markdown=markdown)
        return
    (scenario,) = found["scenarios"]
    if not markdown:
        yield from _sketched(scenario)
    yield from details(scenario, markdown=markdown)


def _sketched(scenario: JSON) -> Iterator[str]:
    from shutil import get_terminal_size

    from supervisor.detectorlab.compareplot import sketch

    try:
        yield from sketch(scenario, max(40, min(get_terminal_size((100, 0)).columns, 120)), colored=colored())
    except ImportError:
        yield "No curves: plotext is not installed; pip install '.[lab]'"
    yield ""
