"""`cluster`: the group of commands for several hosts.  Each asks the daemon of this host, which asks its agent."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from supervisor.cli.daemon_target import DaemonTarget
from supervisor.cli.options import CommandGroup, daemon_options, pass_target
from supervisor.errors import NoSuchService, OperationFailed, UsageError

if TYPE_CHECKING:
    from supervisor.core.model.cluster_documents import ClusterView, ClusterWord, MemberDocument, NewOrder, OrderOutcome

OUTCOME, FOLLOWED, LOOK = 30.0, 90.0, 0.1
"""Seconds that a command waits for the agent's answer to its order, for the cluster to follow it, and between looks."""
STALE = 10.0
"""Seconds without a word of the agent after which its last one is shown as old."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print the answer of the API.")


@click.group(cls=CommandGroup)
def cluster() -> None:
    """Show and steer what several hosts run together.

    Example: supervisor cluster drain b"""


@cluster.command()
@daemon_options("-f", "--file")
@json_option
@pass_target
def status(target: DaemonTarget, as_json: bool) -> None:
    """Print where each slot of the cluster is.  Exit code 3: a slot is nowhere, or ZooKeeper does not answer.

    Example: supervisor cluster status"""
    view = _view(target)
    word = view["word"]
    if as_json:
        _print_json(view)
    elif word is None:
        click.echo("the agent of this host has said nothing yet; `supervisor status cluster-agent` shows it")
    else:
        click.echo(status_text(view, word), nl=False)
    if word is None or word["nowhere"] or word["engine"]["state"] != "connected":
        raise SystemExit(3)


@cluster.command()
@daemon_options("-f", "--file")
@json_option
@pass_target
def members(target: DaemonTarget, as_json: bool) -> None:
    """Print the hosts of the cluster, also those that are not there.

    Example: supervisor cluster members"""
    word = word_of(target)
    if as_json:
        _print_json(word["members"])
    else:
        click.echo(members_text(word), nl=False)


@cluster.command()
@daemon_options("-f", "--file")
@json_option
@click.argument("slot", metavar="SERVICE[@I]")
@click.argument("host", metavar="HOST")
@pass_target
def move(target: DaemonTarget, as_json: bool, slot: str, host: str) -> None:
    """Bring an instance to a host, once: it is stopped in order where it runs, and started there.

    SERVICE@2 is the second slot of a service with placement.mode = "spread".

    Example: supervisor cluster move scheduler b"""
    word = word_of(target)
    service, number = slot_of(slot, word)
    if _member(word, host)["drained"]:
        raise OperationFailed(
            f"{host} is drained", f"`supervisor cluster drain {host} --off` lets it take slots again."
        )
    outcome = _order(target, {"verb": "move", "node": host, "service": service, "slot": number})
    name = _name({"service": service, "slot": number}, word)
    _follow(target, lambda word: name in _member(word, host)["slots"], lambda word: _obstacle(word, host, name))
    _tell(as_json, outcome, f"{name} is on {host}")


@cluster.command()
@daemon_options("-f", "--file")
@json_option
@click.option("--off", is_flag=True, help="The host may take instances again.")
@click.argument("host", metavar="HOST")
@pass_target
def drain(target: DaemonTarget, as_json: bool, off: bool, host: str) -> None:
    """Bring all placed instances away from a host, for example to patch it; it takes none until --off.

    What has no placement, or placement.mode = "every", runs on.

    Example: supervisor cluster drain b"""
    outcome = _order(target, {"verb": "undrain" if off else "drain", "node": host})
    if not off:
        _follow(
            target, lambda word: not _member(word, host)["slots"],
            lambda word: f"{host} still holds {', '.join(_member(word, host)['slots'])}",
        )  # fmt: skip
    _tell(as_json, outcome, f"{host} may take instances" if off else f"{host} is drained: it holds no slot")


@cluster.command()
@daemon_options("-f", "--file")
@json_option
@click.argument("host", metavar="HOST")
@pass_target
def evict(target: DaemonTarget, as_json: bool, host: str) -> None:
    """Take a host that no longer answers out of the cluster, although its session with ZooKeeper still lives.

    Another host takes its slots over as soon as the host's longest lease is over.  The host stays drained: after its
    return `supervisor cluster drain HOST --off` lets it take part again.

    Example: supervisor cluster evict b"""
    outcome = _order(target, {"verb": "evict", "node": host})
    _tell(as_json, outcome, f"{host} is evicted; `supervisor cluster drain {host} --off` takes it in again")


# -- texts -----------------------------------------------------------------------------------------------------------


def status_text(view: ClusterView, word: ClusterWord) -> str:
    """A head, what is wrong, and a row for each slot."""
    from supervisor.display.status_row import aligned

    engine, age = word["engine"], view["age_s"] or 0.0
    head = f"node {word['node']}  ZooKeeper {engine['state']}"
    if engine["state"] == "connected":
        head += f" (session {engine['session']}, {engine['granted']:g} s)"
    else:
        head = click.style(f"{head} for {max(0.0, word['at'] - engine['since']):.0f} s: {engine['reason']}", fg="red")
    lines = [click.style(head, bold=True)]
    if age > STALE:
        lines.append(click.style(f"the agent of this host has said nothing for {age:.0f} s", fg="red"))
    lines += [click.style(one, fg="red") for one in word["problems"]]
    pushed = word.get("pushed")
    if pushed is not None:
        from supervisor.display.pushed import pushed_lines

        lines += [click.style(one, fg="yellow") for one in pushed_lines(pushed)]
    rows = sorted(_rows(word), key=lambda row: (row[0].partition("@")[0], int(row[0].partition("@")[2] or 1)))
    return "\n".join(lines) + "\n" + aligned([("SLOT", "HOST", "EPOCH", "LEASE", "NOTE"), *rows], {"EPOCH", "LEASE"})


def _rows(word: ClusterWord) -> Iterator[tuple[str, str, str, str, str]]:
    free = {(one["service"], one["slot"]) for one in word["nowhere"]}
    for lease in (one for one in word["leases"] if (one["service"], one["slot"]) not in free):  # else it is over
        note = "is given back" if lease["released"] else ""
        if not note and lease["start_at"] > word["at"]:
            note = f"starts in {lease['start_at'] - word['at']:.1f} s: what its last owner ran may still end"
        left = f"{lease['kill_at'] - word['at']:.1f}s"
        yield _name(lease, word), word["node"], str(lease["epoch"]), left, note
    for there in word["elsewhere"]:
        yield _name(there, word), there["node"], "–", "–", ""
    for nowhere in word["nowhere"]:
        yield _name(nowhere, word), "–", "–", "–", nowhere["reason"]


def members_text(word: ClusterWord) -> str:
    """A row for each host."""
    from supervisor.display.status_row import aligned

    rows = [("HOST", "STATE", "SLOTS", "LABELS", "ADDRESS", "VERSION", "NOTE")]
    for one in word["members"]:
        state = "away" if not one["here"] else "drained" if one["drained"] else "here" if one["taking"] else "unable"
        suspect = one["node"] in word["suspects"]
        state = "suspect" if suspect and one["here"] else state
        labels = " ".join(f"{name}={value}" for name, value in sorted(one["labels"].items()))
        note = "" if one["taking"] or not one["here"] else one["reason"]
        note = "its heartbeats fail to come" if suspect else note or _unheard(one, word)
        slots = " ".join(one["slots"])
        rows.append((one["node"], state, slots or "–", labels or "–", one["address"] or "–", one["version"], note))
    return aligned(rows, frozenset())


def _unheard(one: MemberDocument, word: ClusterWord) -> str:
    """That nothing is heard of a host that is there, where both have an address for heartbeats."""
    own = next((m["address"] for m in word["members"] if m["node"] == word["node"]), "")
    silent = one["here"] and one["node"] not in (word["node"], *word["heard"])
    return "no heartbeat of it has come; does UDP get through?" if silent and own and one["address"] else ""


def slot_of(text: str, word: ClusterWord) -> tuple[str, int]:
    """The service and the number of a slot, counted from 0.  UsageError, NoSuchService."""
    known = _slots(word)
    service, _, number = text.partition("@")
    if service not in known:
        raise NoSuchService(f'no placed service "{service}"', f"Placed are: {', '.join(sorted(known)) or 'none'}.")
    if not number:
        if len(known[service]) == 1:
            return service, next(iter(known[service]))
        raise UsageError(f"which slot of {service}?", f"Name one of {service}@1 … {service}@{len(known[service])}.")
    short = number.isascii() and number.isdigit() and len(number) < 10
    if not (short and int(number) - 1 in known[service]):
        raise UsageError(f'no slot "{text}"', f"{service} has {service}@1 … {service}@{len(known[service])}.")
    return service, int(number) - 1


def _slots(word: ClusterWord) -> dict[str, set[int]]:
    """The slots of each placed service."""
    known: dict[str, set[int]] = {}
    for one in (*word["leases"], *word["elsewhere"], *word["nowhere"]):
        known.setdefault(one["service"], set()).add(one["slot"])
    return known


def _name(one: Mapping[str, Any], word: ClusterWord) -> str:
    """That of the slot's instance."""
    several = len(_slots(word).get(one["service"], ())) > 1
    return f"{one['service']}@{one['slot'] + 1}" if several else str(one["service"])


# -- the daemon ------------------------------------------------------------------------------------------------------


def _view(target: DaemonTarget) -> ClusterView:
    view: ClusterView = target.client.get("/v1/cluster")
    return view


def word_of(target: DaemonTarget) -> ClusterWord:
    """The last message of the agent.  OperationFailed where none has come."""
    word = _view(target)["word"]
    if word is None:
        hint = "`supervisor status cluster-agent` shows it."
        raise OperationFailed("the agent of this host has said nothing yet", hint)
    return word


def _order(target: DaemonTarget, order: NewOrder) -> OrderOutcome:
    """Give an order, and wait for its outcome.  OperationFailed where it was refused, or is not known in time."""
    engine = word_of(target)["engine"]
    outcome = outcome_of(target, target.client.post("/v1/cluster/orders", order)["id"])
    if outcome is None:
        why = f"ZooKeeper is {engine['state']}" if engine["state"] != "connected" else "the agent has not answered"
        raise OperationFailed(f"no outcome within {OUTCOME:g} s: {why}", "The order stays, and is carried out later.")
    return outcome


def outcome_of(target: DaemonTarget, order: str) -> OrderOutcome | None:
    """What became of an order; None where that is not known within OUTCOME.  OperationFailed where it was refused."""
    deadline = time.monotonic() + OUTCOME
    while time.monotonic() < deadline:
        outcome: OrderOutcome | None = target.client.get(f"/v1/cluster/orders/{order}")["outcome"]
        if outcome is not None:
            if not outcome["done"]:
                raise OperationFailed(outcome["error"])
            return outcome
        time.sleep(LOOK)
    return None


def _follow(
    target: DaemonTarget, holds: Callable[[ClusterWord], bool], why_not: Callable[[ClusterWord], str]
) -> ClusterWord:
    """Wait until the cluster has done what was ordered.  OperationFailed where it has not in time."""
    deadline = time.monotonic() + FOLLOWED
    while True:
        word = word_of(target)
        if holds(word):
            return word
        if time.monotonic() > deadline:
            raise OperationFailed(f"not followed within {FOLLOWED:g} s: {why_not(word)}", "The order stays.")
        time.sleep(LOOK)


def _member(word: ClusterWord, host: str) -> MemberDocument:
    nothing: MemberDocument = {
        "node": host, "address": "", "version": "", "labels": {}, "here": False, "drained": False, "taking": False,
        "reason": "it is not there", "slots": [],
    }  # fmt: skip
    return next((one for one in word["members"] if one["node"] == host), nothing)


def _obstacle(word: ClusterWord, host: str, slot: str) -> str:
    there = _member(word, host)
    if there["drained"]:
        return f"{host} is drained"
    return there["reason"] or f"{slot} is on {next((m['node'] for m in word['members'] if slot in m['slots']), 'none')}"


def _tell(as_json: bool, outcome: OrderOutcome, text: str) -> None:
    if as_json:
        _print_json(outcome)
    else:
        click.echo(text)


def _print_json(value: Any) -> None:
    from json import dumps

    click.echo(dumps(value))
