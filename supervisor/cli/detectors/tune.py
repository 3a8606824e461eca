"""`detectors tune`: recommends heartbeat settings from the recorded intervals of a service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from supervisor.cli.daemon_target import DaemonTarget
from supervisor.cli.options import as_duration, colored, complete_services, daemon_options, pass_target, picture
from supervisor.errors import ConfigError, NoDaemon, NoSuchService, OperationFailed

JSON = dict[str, Any]

ROWS = 14
"""The most rows of the histogram."""
BAR = 44
"""Cells of the longest bar."""
SEED = 1


def _rate(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    from supervisor.config.units import parse_rate

    try:
        return parse_rate(value)
    except ValueError as error:
        raise click.BadParameter(f"{error}.") from None


@click.command()
@daemon_options("-f", "--file")
@click.option(
    "--within", callback=as_duration, metavar="TIME", help="Detect a hang within this time.  [as configured, or 5s]"
)
@click.option(
    "--false",
    "false",
    callback=_rate,
    metavar="RATE",
    help="Accept this many false restarts.  [as configured, or 1/30d]",
)
@click.option(
    "--plot", type=click.Path(dir_okay=False, path_type=Path), callback=picture, metavar="FILE",
    help="Also draw it into a .png, .svg or .html file.",
)  # fmt: skip
@click.option("--seed", type=int, default=SEED, show_default=True, help="Seed of the random numbers.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print the record, the prediction and the recommendation as one JSON object.",
)
@click.argument("service", shell_complete=complete_services)
@pass_target
def tune(
    daemon_target: DaemonTarget,
    within: float | None,
    false: float | None,
    plot: Path | None,
    seed: int,
    as_json: bool,
    service: str,
) -> None:
    """Recommend heartbeat settings for SERVICE from its recorded beats.

    Prints what each detector would do, whether the target can be met, and what to write into services.toml.

    Example: supervisor detectors tune web"""
    from supervisor.core.model.spec import TargetSpec

    file, snapshots = _recorded(daemon_target)
    spec = _service(file, service)
    assert spec.heartbeat is not None  # else it was refused
    from supervisor.core.detection.interval_histogram import MIN_INTERVALS
    from supervisor.detectorlab.recommendation import advise, gathered

    histogram, newest = gathered(snapshots, spec)
    if histogram.count < MIN_INTERVALS:
        raise _too_little(service, histogram.count, MIN_INTERVALS, spec.heartbeat.interval / spec.replicas)
    usual = spec.heartbeat.target or TargetSpec()
    wish = TargetSpec(
        detect_within=usual.detect_within if within is None else within,
        max_false_restarts=usual.max_false_restarts if false is None else false,
    )
    found = advise(spec, histogram, newest, wish, seed)
    if plot is not None:
        from supervisor.detectorlab.tuneplot import draw

        draw(found, plot)
    if as_json:
        from json import dumps

        click.echo(dumps(found))
        return
    for line in _told(found):
        click.echo(line)


def _recorded(daemon_target: DaemonTarget) -> tuple[str, dict[str, JSON]]:
    """The configuration's path, and what the ledger keeps of each instance: of the daemon that answers, if one does."""
    from supervisor.adapters.ledger.query import read_only

    try:
        daemon = daemon_target.client.status()["supervisor"]
    except NoDaemon as absent:
        return daemon_target.file, daemon_target.offline(absent).snapshots()
    return daemon["config"], read_only(f"{daemon['state_dir']}/ledger.db").snapshots()


def _service(file: str, name: str) -> Any:
    from supervisor.config.load import load

    plan = load(file)
    spec = plan.service(name.partition("@")[0])
    if spec is None:
        known = ", ".join(s.name for s in plan.services)
        raise NoSuchService(f"{file} has no service {name!r}; it has {known}")
    if spec.heartbeat is None:
        raise ConfigError(
            f"{spec.name} has no heartbeat, so no intervals are recorded",
            f"Give it [services.{spec.name}.heartbeat], and let it run for some time.",
        )
    return spec


def _too_little(service: str, known: int, needed: int, interval: float) -> OperationFailed:
    from supervisor.core.text.units import span

    wait = span((needed - known) * interval)
    hint = f"At one beat every {span(interval)} this takes {wait} more.  A running daemon saves its record every 30 s."
    return OperationFailed(f"{service}: {known} intervals are recorded, {needed} are needed", hint)


def _told(found: JSON) -> Iterator[str]:
    from textwrap import wrap

    from supervisor.core.text.target import few
    from supervisor.core.text.units import span

    target = found["target"]
    yield (
        f"{found['service']}: {found['beats']:,} intervals in {span(found['recorded_s'])}, "
        f"mean {span(found['mean_s'])}, longest {span(found['longest_s'])}"
    )
    yield ""
    yield from _bars(found["histogram"])
    yield ""
    yield from _curves(found)
    wish, within = few(target["max_false_restarts_per_30d"]), span(target["detect_within_s"])
    yield f"{'':26}{f'for {wish}/30d':^22}{f'within {within}':>18}"
    yield f"{'DETECTOR':<26}{'SILENCE':>10}{'99 %':>10}{'FALSE/30d':>20}"
    for row in found["detectors"]:
        at, then = row["at_wish"], row["within"]
        silence, p99 = (span(at["silence_s"]), span(at["p99_s"])) if at else ("–", "–")
        false = few(then["false_restarts_per_30d"]) if then else "–"
        yield f"{row['detector']:<26}{silence:>10}{p99:>10}{false:>20}"
    now = found["present"]
    yield "now: " + (
        f"{now['setting']}: {span(now['silence_s'])} of silence ({span(now['p99_s'])}), "
        f"about {few(now['false_restarts_per_30d'])}/30d"
    )
    yield ""
    yield from wrap(f"{target['says']}.", _width())
    for note in found["notes"]:
        yield from wrap(f"- {note}", _width(), subsequent_indent="  ")
    yield ""
    yield from found["toml"].splitlines()


def _curves(found: JSON) -> Iterator[str]:
    from supervisor.detectorlab.terminal_plot import sketch

    try:
        yield from sketch(found, _width(), colored=colored())
    except ImportError:
        yield "No curves: plotext is not installed; pip install '.[lab]'"
    yield ""


def _width() -> int:
    from shutil import get_terminal_size

    return max(40, min(get_terminal_size((100, 0)).columns, 120))


def _bars(classes: list[JSON]) -> Iterator[str]:
    """The histogram, neighbouring classes put together until there are few; lengths are logarithmic, so that the one
    long pause among a million can be seen."""
    from math import log

    low, high = classes[0]["from_s"], classes[-1]["to_s"]
    step = log(high / low) / ROWS
    rows = [[low * (high / low) ** (k / ROWS), 0] for k in range(ROWS)]
    for one in classes:
        rows[min(ROWS - 1, int(log(one["from_s"] / low) / step + 1e-9))][1] += one["count"]
    maximum = max(count for _, count in rows)
    for begin, count in rows:
        bar = "█" * max(1, round(BAR * log(1 + count) / log(1 + maximum))) if count else ""
        yield f"{f'from {begin:.3g} s':>14}  {bar:<{BAR}} {count:,}"
