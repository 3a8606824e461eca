"""`start`, `stop`, `restart`, `reset`, `signal`: send the command, then wait until it is done or has failed.
`wait` only waits."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

import click

from supervisor.cli.daemon_target import DaemonTarget
from supervisor.cli.options import as_duration, complete_services, daemon_options, pass_target, services_argument
from supervisor.cli.waiting.asking import ask
from supervisor.cli.waiting.output import nothing_to
from supervisor.core.services.awaited import WHAT
from supervisor.errors import NoSuchService, OperationFailed, UsageError

if TYPE_CHECKING:
    from supervisor.core.model.order_documents import Rollouts, Scaling


def _acting(verb: str, summary: str, example: str, more: str = "") -> click.Command:
    @click.command(verb, help=f"{summary}\n\nWithout SERVICE, all services.{more}\n\nExample: supervisor {example}")
    @daemon_options("-f", "--file")
    @click.option("--no-wait", is_flag=True, help="Return at once; `supervisor status` shows the result.")
    @click.option("--timeout", callback=as_duration, metavar="TIME", help="Wait at most this long.  [no limit]")
    @services_argument
    @pass_target
    def command(target: DaemonTarget, no_wait: bool, timeout: float | None, services: tuple[str, ...]) -> None:
        if no_wait:
            names = target.client.act(verb, services)
            click.echo("\n".join(names) or nothing_to(verb))
        else:
            ask(target.client, verb, services, timeout)

    return command


start = _acting("start", "Start services and what they depend on; return when ready.", "start web")
stop = _acting(
    "stop",
    "Stop services, dependants first; return when all have ended.",
    "stop web worker@2",
    "  What depends on a service and is not named goes on running.",
)


@click.command()
@daemon_options("-f", "--file")
@click.option("--rolling", is_flag=True, help="One instance after the other, as the service's rollout says.")
@click.option("--no-wait", is_flag=True, help="Return at once; `supervisor status` shows the result.")
@click.option("--timeout", callback=as_duration, metavar="TIME", help="Wait at most this long.  [no limit]")
@services_argument
@pass_target
def restart(
    target: DaemonTarget, rolling: bool, no_wait: bool, timeout: float | None, services: tuple[str, ...]
) -> None:
    """Stop services and start them again; return when ready.

    With --rolling one instance is replaced after the other, each when the last one is ready and has stayed so; never
    more of them are missing than rollout.max_unavailable.

    Without SERVICE, all services.

    Example: supervisor restart --rolling web"""
    client = target.client
    if not rolling:
        from supervisor.cli.waiting.output import warn_of_rollouts

        warn_of_rollouts(client, services)
    if not rolling and not no_wait:
        ask(client, "restart", services, timeout)
        return
    names = client.roll(services) if rolling else client.act("restart", services)
    if no_wait or not names:
        click.echo("\n".join(names) or nothing_to("restart"))
        return
    from supervisor.cli.waiting.output import follow

    rows = client.status()["instances"]
    follow(client, {row["service"] for row in rows if row["name"] in names}, timeout)


reset = _acting("reset", "Close breakers and clear backoff, so that services start now.", "reset web")


@click.command()
@daemon_options("-f", "--file")
@click.option(
    "-s",
    "--signal",
    "number",
    metavar="SIGNAL",
    help="HUP, SIGHUP or 1; sent even if it ends the process.  [default: each service's reload_signal]",
)
@click.option("--no-check", is_flag=True, help="Send a reload signal without the reload_check of the service.")
@click.option("--no-wait", is_flag=True, help="Return at once, without waiting for reloads.")
@services_argument
@pass_target
def signal(target: DaemonTarget, number: str | None, no_check: bool, no_wait: bool, services: tuple[str, ...]) -> None:
    """Send a signal to main processes, by default reload_signal.

    Without -s, nothing is sent where a process does not handle its reload_signal and would be ended or stopped by it.
    Before a reload_signal, the reload_check of the service has to pass; if it fails, nothing is sent, and the service
    runs on.  With ready.notify_reload, return when the service has reloaded; exit code 1 if it did not in time.

    Example: supervisor signal -s USR1 web"""
    began = monotonic()
    try:
        names = target.client.act("signal", services, number, check=not no_check)
    except NoSuchService as error:
        meant = next((word for word in services if repr(word) in error.message and _is_signal(word)), None)
        if number is None and len(services) > 1 and meant is not None:  # supervisorctl takes it before the names
            others = " ".join(word for word in services if word != meant)
            hint = f"The signal is an option: supervisor signal -s {meant} {others}"
            raise NoSuchService(error.message, hint) from None
        raise
    for name in names:
        click.echo(f"{name}  {number or 'reload signal'} sent")
    if not names:
        raise OperationFailed("no signal sent: none of them is running")
    if not no_wait:
        from supervisor.cli.waiting.reloads import follow_reloads

        follow_reloads(target.client, names, began)


def _is_signal(word: str) -> bool:
    """Whether it is the name or the number of a signal."""
    from signal import Signals

    return word.isdecimal() or f"SIG{word.upper().removeprefix('SIG')}" in Signals.__members__


@click.command()
@daemon_options("-f", "--file")
@click.option("--for", "what", type=click.Choice(WHAT), default="ready", show_default=True, help="What to wait for.")
@click.option("--timeout", callback=as_duration, metavar="TIME", help="Wait at most this long.  [no limit]")
@click.argument("services", nargs=-1, required=True, metavar="SERVICE…", shell_complete=complete_services)
@pass_target
def wait(target: DaemonTarget, what: str, timeout: float | None, services: tuple[str, ...]) -> None:
    """Wait until services are ready, started, stopped or completed.

    Exit code 0: all are; 1: not in time, or one has ended and is not started again; 4: no such service; 5: no daemon.

    Example: supervisor wait db --for ready --timeout 30s"""
    from supervisor.cli.waiting.awaiting import wait_for

    wait_for(target.client, what, timeout, services)


STEERING = ("pause", "resume", "undo")


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    verbs = [] if ctx.params.get("words") else [verb for verb in STEERING if verb.startswith(incomplete)]
    return [*verbs, *complete_services(ctx, param, incomplete)]


@click.command()
@daemon_options("-f", "--file")
@click.option("--json", "as_json", is_flag=True, help="Print the answer of the API.")
@click.option("--no-wait", is_flag=True, help="Return at once after resume or undo.")
@click.argument("words", nargs=-1, metavar="[pause|resume|undo] [SERVICE]…", shell_complete=_complete)
@pass_target
def rollout(target: DaemonTarget, as_json: bool, no_wait: bool, words: tuple[str, ...]) -> None:
    """Show how far rollouts are, or pause, resume or undo one.

    pause replaces no further instance; resume goes on, and tries again what was halted; undo goes back to the
    definition before the rollout. resume and undo return when that is done.

    Example: supervisor rollout undo web"""
    from supervisor.cli.waiting.output import follow
    from supervisor.display.rollout_line import line, scaling_line

    client = target.client
    scaling: list[Scaling] = []
    if words and words[0] in STEERING:
        if len(words) != 2:
            raise UsageError(
                f"`rollout {words[0]}` takes one service", f"For example: supervisor rollout {words[0]} web"
            )
        found = client.steer(*words)
        if words[0] != "pause" and not no_wait and not as_json and found["state"] in ("running", "rolling-back"):
            expected = "rolled-back" if found["state"] == "rolling-back" else "finished"
            follow(client, [found["service"]], expected=expected)
            return
        shown = [found]
    else:
        try:
            answer: Rollouts = client.get("/v1/rollouts", service=words)
        except NoSuchService as error:
            if len(words) == 1:
                raise
            raise NoSuchService(
                error.message, f"{error.hint}\nOr write {', '.join(STEERING)} and one service."
            ) from None
        shown, scaling = answer["rollouts"], answer.get("scaling", [])
    if as_json:
        from json import dumps

        click.echo(dumps({"rollouts": shown} | ({"scaling": scaling} if scaling else {})))
        return
    rows = {row["name"]: row for row in client.status()["instances"]}
    lines = [*(scaling_line(one, rows) for one in scaling), *(line(one, rows) for one in shown)]
    click.echo("\n".join(lines) or "nothing was rolled out since the services were started")
