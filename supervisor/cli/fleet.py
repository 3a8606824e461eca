"""`fleet`: installs, changes and shows the supervisor on the hosts of [fleet], over ssh."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from supervisor.cli.daemon_target import DaemonTarget
from supervisor.cli.options import CommandGroup, as_duration, daemon_options, pass_target

if TYPE_CHECKING:
    from supervisor.core.model.fleet_spec import FleetHost
    from supervisor.fleet.rollout import Outcomes, Rule

NOT_READY = 3
"""The exit code of `fleet status` where a host is not ready, as that of `status`."""


@click.group(cls=CommandGroup)
def fleet() -> None:
    """Install, change and watch the hosts of [fleet] over ssh.

    Every command works on all hosts at once, or on those that -H names.  A host that cannot be reached is reported and
    does not hold the others.

    Example: supervisor fleet install"""


def fleet_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """-f, -H and --json."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print one document with the result of each host."),
        click.option(
            "-H",
            "--host",
            "only",
            multiple=True,
            metavar="HOST",
            help="Only this host, or those with LABEL=VALUE; repeat.",
        ),
        daemon_options("-f", "--file"),
    ):
        command = option(command)
    return command


def ready_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """--ready-within."""
    return click.option(
        "--ready-within",
        default="60s",
        callback=as_duration,
        metavar="TIME",
        help="How long services may take to be ready.  [60s]",
    )(command)


wheels_option = click.option(
    "--wheels",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIRECTORY",
    help="Take the wheels of dependencies from here instead of an index.",
)


@fleet.command()
@fleet_options
@ready_option
@click.option("--user", is_flag=True, help="Where you are not root: run it by your own systemd (`systemctl --user`).")
@wheels_option
@pass_target
def install(
    target: DaemonTarget, only: tuple[str, ...], as_json: bool, ready_within: float, user: bool, wheels: Path | None
) -> int:
    """Install the supervisor and this services.toml on hosts, and start it.

    A host needs Python 3.11 or newer and sshd, but no index.  What is there already is left as it is, so that a second
    run changes nothing.

    Example: supervisor fleet install -H a"""
    fleet = _Fleet(target, only, as_json)
    from supervisor.fleet import steps

    digest = fleet.bring_file(Path(target.file))
    fleet.bring_release(wheels)
    return fleet.change(
        lambda found, release: steps.install(found, release, digest, user=user), ready_within=ready_within, user=user
    )


@fleet.command()
@fleet_options
@pass_target
def status(target: DaemonTarget, only: tuple[str, ...], as_json: bool) -> int:
    """Print one row per host.

    Exit code 3 if a host is not ready or cannot be reached.

    Example: supervisor fleet status --json"""
    fleet = _Fleet(target, only, as_json)
    from supervisor.fleet.rollout import at_once
    from supervisor.fleet.steps import Daemon, Todo
    from supervisor.fleet.summary import state, status_lines

    fleet.quiet = True
    outcomes = at_once(fleet.hosts, lambda _found, _release: Todo(), fleet.wanted(), fleet.tell, fleet.tell)
    fleet.show(outcomes, status_lines(fleet.hosts, outcomes))
    return 0 if all(state(outcome) == Daemon.READY for outcome in outcomes.values()) else NOT_READY


@fleet.command()
@fleet_options
@ready_option
@pass_target
def start(target: DaemonTarget, only: tuple[str, ...], as_json: bool, ready_within: float) -> int:
    """Start the daemon on hosts where it is down, and wait until all services are ready.

    Example: supervisor fleet start"""
    fleet = _Fleet(target, only, as_json)
    from supervisor.fleet import steps

    return fleet.change(lambda found, _release: steps.start(found), ready_within=ready_within)


@fleet.command()
@fleet_options
@ready_option
@click.argument("path", required=False, metavar="[FILE]", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@pass_target
def push(target: DaemonTarget, only: tuple[str, ...], as_json: bool, ready_within: float, path: Path | None) -> int:
    """Replace services.toml on hosts, in waves, and let the daemons take it.

    Each host checks it first.  Where services are not ready after it, the former file is put back, and hosts of later
    waves keep theirs.  FILE: another file than the one with [fleet].

    Example: supervisor fleet push"""
    fleet = _Fleet(target, only, as_json)
    from supervisor.fleet import steps

    digest = fleet.bring_file(path or Path(target.file))
    return fleet.change(lambda found, _release: steps.push(found, digest), ready_within=ready_within, in_waves=True)


@fleet.command()
@fleet_options
@ready_option
@wheels_option
@pass_target
def upgrade(
    target: DaemonTarget, only: tuple[str, ...], as_json: bool, ready_within: float, wheels: Path | None
) -> int:
    """Bring the version that runs this command to hosts, in waves; services keep running.

    Where services are not ready after it, the former release is put back, and hosts of later waves keep theirs.

    Example: supervisor fleet upgrade --ready-within 2m"""
    fleet = _Fleet(target, only, as_json)
    from supervisor.fleet import steps

    fleet.bring_release(wheels)
    return fleet.change(steps.upgrade, ready_within=ready_within, in_waves=True)


@fleet.command()
@fleet_options
@pass_target
def down(target: DaemonTarget, only: tuple[str, ...], as_json: bool) -> int:
    """Stop all services and the daemon on hosts.

    Example: supervisor fleet down -H a"""
    fleet = _Fleet(target, only, as_json)
    from supervisor.fleet import steps

    return fleet.change(lambda found, _release: steps.down(found))


@fleet.command(context_settings={"ignore_unknown_options": False})
@fleet_options
@click.option(
    "--timeout", default="60s", callback=as_duration, metavar="TIME", help="The host ends it after this time.  [60s]"
)
@click.argument("words", nargs=-1, required=True, metavar="-- COMMAND…")
@pass_target
def run(target: DaemonTarget, only: tuple[str, ...], as_json: bool, timeout: float, words: tuple[str, ...]) -> int:
    """Run a command on hosts at once; each line of output begins with the host.

    Several words are passed on as they are; a single one is a line for the host's shell.  Exit code 1 if it failed on a
    host.

    Example: supervisor fleet run -- 'df -h / | tail -1'"""
    fleet = _Fleet(target, only, as_json)
    from supervisor.fleet.commands import Output, run_everywhere, summary

    output = Output([host.name for host in fleet.hosts], as_json=as_json)
    outcomes = run_everywhere(fleet.hosts, fleet.spec.directory, words, timeout, output)
    if as_json:
        click.echo(dumps(output.document(fleet.hosts, outcomes), indent=2))
    else:
        for line in summary(fleet.hosts, outcomes):
            click.echo(line, err=True)
    return 0 if all(outcome.value == 0 for outcome in outcomes.values()) else 1


class _Fleet:
    """The hosts that are meant, what a command brings to them, and how its progress is printed."""

    def __init__(self, target: DaemonTarget, only: tuple[str, ...], as_json: bool) -> None:
        from supervisor.config.fleet import load_fleet
        from supervisor.fleet.extra import require_fabric
        from supervisor.fleet.inventory import chosen

        self._file = target.file
        self.spec = load_fleet(target.file)
        require_fabric()
        self.hosts = chosen(self.spec, only)
        self.quiet = False
        self._json = as_json
        self._width = max(len(host.name) for host in self.hosts)
        self._config: Path | None = None
        self._wheelhouse: Any = None

    def bring_file(self, path: Path) -> str:
        """Take a services.toml along; returns its SHA-256."""
        from hashlib import sha256

        from supervisor.config.source.read import parse, read_text
        from supervisor.errors import ConfigError

        if "include" in parse(read_text(path), str(path)):
            raise ConfigError(f"{path}: include: one file is installed on the hosts", "Put all services into it.")
        self._config = path
        return sha256(path.read_bytes()).hexdigest()

    def bring_release(self, wheels: Path | None) -> None:
        """Take the running version along."""
        from supervisor.config.fleet import needed_extras
        from supervisor.fleet.wheelhouse import Wheelhouse

        self._wheelhouse = Wheelhouse(wheels, needed_extras(self._file))

    def wanted(self, ready_within: float = 0.0, *, user: bool = False) -> Any:
        """What is brought."""
        from supervisor.fleet.host import Wanted

        return Wanted(self.spec.directory, self._wheelhouse, self._config, user, ready_within)

    def change(self, rule: Rule, *, ready_within: float = 0.0, user: bool = False, in_waves: bool = False) -> int:
        """Bring the hosts to what is wanted, and print what became of each."""
        from supervisor.fleet import rollout
        from supervisor.fleet.summary import summary_lines

        wanted = self.wanted(ready_within, user=user)
        try:
            if in_waves:
                outcomes = rollout.in_waves(self.hosts, rule, wanted, self.tell, self.tell, self.spec.wave)
            else:
                outcomes = rollout.at_once(self.hosts, rule, wanted, self.tell, self.tell)
        finally:
            if self._wheelhouse is not None:
                self._wheelhouse.close()
        self.show(outcomes, summary_lines(self.hosts, outcomes))
        return 0 if all(outcome.problem is None for outcome in outcomes.values()) else 1

    def tell(self, host: FleetHost, what: str) -> None:
        """Print what begins or has ended on a host."""
        if not self.quiet:
            first = what.splitlines()[0] if what else ""
            click.echo(f"{host.name:<{self._width}}  {first}", err=True)

    def show(self, outcomes: Outcomes, lines: Iterable[str]) -> None:
        """Print the result."""
        from supervisor.fleet.summary import document

        if self._json:
            click.echo(dumps(document(click.get_current_context().info_name or "", self.hosts, outcomes), indent=2))
            return
        for line in lines:
            click.echo(line)
