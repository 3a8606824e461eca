"""`balance`: prints the slots of the balancer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from supervisor.cli.daemon_target import DaemonTarget
from supervisor.cli.options import daemon_options, pass_target

if TYPE_CHECKING:
    from supervisor.core.model.balance_documents import Balance, BalancedSlot

COLUMNS = (
    "INSTANCE",
    "SLOT",
    "ADDRESS",
    "STATE",
    "WEIGHT",
    "SESSIONS",
    "QUEUE",
    "RATE",
    "ERRORS",
    "REQUESTS",
    "SHARE",
    "NOTE",
)
RIGHT = frozenset(("SLOT", "WEIGHT", "SESSIONS", "QUEUE", "RATE", "ERRORS", "REQUESTS", "SHARE"))
LEGEND = """\
RATE requests in the last second · ERRORS and REQUESTS since the daemon started
L requests for each instance of the service (T/S) · SHARE requests of this instance / L: 1.00 is an equal share
"""


@click.command()
@daemon_options("-f", "--file")
@click.option("--json", "as_json", is_flag=True, help="Print the answer of the API.")
@click.argument("services", nargs=-1, metavar="[SERVICE]…")
@pass_target
def balance(target: DaemonTarget, as_json: bool, services: tuple[str, ...]) -> None:
    """Print what the balancer sends to each instance.

    The head of a service has L, its requests for each instance since the daemon started; SHARE is what an instance
    had of that: 1.00 is an equal share.

    Example: supervisor balance web"""
    answer = target.client.balance(services)
    if as_json:
        from json import dumps

        click.echo(dumps(answer))
        return
    if not answer["services"]:
        click.echo("no service has [services.NAME.balance]; docs/balancing.md tells how to put HAProxy in front")
        return
    for number, one in enumerate(answer["services"]):
        click.echo(("\n" if number else "") + table(one), nl=False)
    click.echo(LEGEND, nl=False)


def table(one: Balance) -> str:
    """One service: a head, and a row for each slot in use."""
    from supervisor.display.status_row import aligned

    head = f"{one['service']}  {one['listen']} ({one['mode']}, {one['algorithm']})"
    head += f"  L {one['load']:.1f}"
    head += (
        f"  {one['free']} slots free"
        if one["up"]
        else click.style("  HAProxy does not answer: `supervisor why haproxy` tells why", fg="red")
    )
    rows = [_row(one, slot) for slot in one["slots"]] + list(_without_slot(one))
    return click.style(head, bold=True) + "\n" + aligned([COLUMNS, *sorted(rows, key=_by_number)], RIGHT)


def _by_number(row: tuple[str, ...]) -> tuple[str, int, tuple[str, ...]]:
    """web@2 before web@10."""
    service, _, number = row[0].partition("@")
    return service, int(number or 1), row


def _row(one: Balance, slot: BalancedSlot) -> tuple[str, ...]:
    from supervisor.display.numbers import duration

    active, own = slot["state"] == "active", slot["instance"] in one["carried"]
    note = f"draining for {duration(slot['since_s'])}"
    if active:
        note = (
            "" if slot["status"] in (None, "no check") or str(slot["status"]).startswith("UP") else str(slot["status"])
        )
        note = note or ("" if own else "fallback")
    return (
        slot["instance"] or "(gone)",
        str(slot["slot"]),
        slot["address"],
        slot["state"],
        "–" if slot["weight"] is None else str(slot["weight"]),
        str(slot["sessions"]),
        str(slot["queue"]),
        str(slot["rate"]),
        str(slot["errors"]),
        str(slot["requests"]),
        _share(one, slot["requests"]) if own else "–",
        note,
    )


def _without_slot(one: Balance) -> Iterator[tuple[str, ...]]:
    """Instances that take no requests now."""
    shown = {slot["instance"] for slot in one["slots"]}
    for name, requests in one["carried"].items():
        if name not in shown:
            nothing = ("–",) * 7
            yield (name, "–", "–", "none", *nothing[:5], str(requests), _share(one, requests), "takes no requests")


def _share(one: Balance, requests: int) -> str:
    return f"{requests / one['load']:.2f}" if one["load"] else "–"
