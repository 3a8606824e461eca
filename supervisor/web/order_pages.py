"""The pages on which orders are given, and those that answer them.  They work without JavaScript."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from supervisor.core.history.outlook import standing
from supervisor.core.text.units import span
from supervisor.display.markup import text
from supervisor.display.numbers import count
from supervisor.web.frame import frame, in_address

if TYPE_CHECKING:
    from supervisor.core.model.instance_documents import Instance

ADDRESS = "/web/order"
"""Takes the orders."""


class Verb(NamedTuple):
    """`label`: of its button, and in the answer; `about`: what it does."""

    label: str
    about: str


VERBS = {
    "start": Verb("Start", "with what it depends on"),
    "restart": Verb("Restart", "stop it, then start it"),
    "reset": Verb("Try now", "close its breaker and forget the delay"),
    "stop": Verb("Stop", "until it is started again"),
    "maintenance-on": Verb("Leave it alone", "nothing ends or restarts it"),
    "maintenance-off": Verb("Supervise it again", "end its maintenance"),
    "pause": Verb("Pause the rollout", "replace no further instance for now"),
    "resume": Verb("Resume the rollout", "go on where it was paused, or try again where it was halted"),
}
"""Every order that a page can give."""


@dataclass(frozen=True, slots=True)
class Target:
    """What an order is for: a service, an instance or a group.  `dependants`: services that need it.  `rolling`: a
    rollout of it is under way or halted; `paused`: that one is paused."""

    name: str
    rows: Sequence[Instance]
    dependants: Sequence[str] = ()
    rolling: bool = False
    paused: bool = False

    @property
    def offers(self) -> list[str]:
        """The orders that make sense now, in the order of their buttons; `stop` and maintenance have places of their
        own."""
        states = {row["state"] for row in self.rows}
        found = []
        if any(row["goal"] == "down" or row["state"] in ("exited", "failed") for row in self.rows):
            found.append("start")
        if states - {"stopped"}:
            found.append("restart")
        if states & {"backoff", "failed"}:
            found.append("reset")
        if self.rolling:
            found.append("resume" if self.paused else "pause")
        return found


def order_address(name: str) -> str:
    """The page on which orders for this service or instance are given."""
    return f"/order/{in_address(name)}"


def order_link(name: str) -> str:
    """A link to it.  The script opens it as a dialog."""
    return f'<a class="order" href="{order_address(name)}" aria-label="Orders for {text(name)}">Orders</a>'


def order_page(target: Target, daemon: str, wrong: str = "") -> bytes:
    """The form.  `daemon`: its name.  `wrong`: why what was sent last was not taken."""
    told = f'<p id="answer" role="alert" class="wrong">{text(wrong)}</p>\n' if wrong else ""
    body = f'{_head(f"Orders for {target.name}", target.name)}<main id="main">\n{told}{_form(target)}</main>\n'
    return frame(f"Orders for {target.name} · {daemon}", body)


def _head(title: str, name: str) -> str:
    page = f"/service/{in_address(name)}"
    return (
        f'<header>\n<h1>{text(title)}</h1>\n<p><a href="/">All services</a> · <a href="{page}">{text(name)}</a></p>\n'
        "</header>\n"
    )


def _form(target: Target) -> str:
    name = text(target.name)
    now = "".join(f"<li>{text(row['name'])} is {text(standing(row))}</li>" for row in target.rows)
    buttons = "".join(f"<li>{_button(verb)} {text(VERBS[verb].about)}</li>\n" for verb in target.offers)
    choices = f"<section>\n<h2>Order</h2>\n<ul class=choices>{buttons}</ul>\n</section>\n" if buttons else ""
    # The first button is the one that Enter in a field presses: it is disabled, so that Enter orders nothing.
    return (
        f'<form method="post" action="{ADDRESS}" class="orders">\n<button disabled hidden></button>\n'
        f'<input type="hidden" name="name" value="{name}">\n'
        f"<section>\n<h2>Now</h2>\n<ul>{now}</ul>\n</section>\n"
        '<section>\n<h2><label for="token">Token</label></h2>\n'
        '<p><input type="text" value="supervisor" autocomplete="username" hidden>'  # where a browser keeps the token
        '<input type="password" id="token" name="token" required autocomplete="current-password" '
        'aria-describedby="token-help"></p>\n<p class="soft" id="token-help">Every order needs it. '
        "<code>supervisor web --token</code> prints it on the host of the daemon.</p>\n</section>\n"
        f"{choices}{_stop(target)}{_maintenance(target)}</form>\n"
    )


def _button(verb: str) -> str:
    return f'<button name="order" value="{verb}">{text(VERBS[verb].label)}</button>'


def _stop(target: Target) -> str:
    if all(row["goal"] == "down" and row["state"] == "stopped" for row in target.rows):
        return ""
    needed = target.dependants
    verb = "depends" if len(needed) == 1 else "depend"
    more = f"{', '.join(needed)} {verb} on it, and will not be stopped with it. " if needed else ""
    running = sum(row["pid"] is not None for row in target.rows)
    about = f"{more}{count(running, 'process', 'processes')} will be ended."
    return (
        f'<section>\n<h2>Stop</h2>\n<p id="stop-about">{text(about)}</p>\n'
        '<p><label class="sure"><input type="checkbox" name="sure" value="yes" aria-describedby="stop-about"> '
        f"Yes, stop {text(target.name)}</label></p>\n<p>{_button('stop')}</p>\n</section>\n"
    )


def _maintenance(target: Target) -> str:
    said = [row["maintenance"] for row in target.rows if row.get("maintenance")]
    if len(said) == len(target.rows):
        inner = f"<p>{_button('maintenance-off')}</p>"
    else:
        inner = (
            '<p><label for="minutes">Minutes (empty: until it is ended)</label> '
            '<input id="minutes" name="minutes" inputmode="numeric" size="5" autocomplete="off"></p>\n'
            '<p><label for="reason">Reason</label> '
            '<input id="reason" name="reason" maxlength="200" autocomplete="off"></p>\n'
            f"<p>{_button('maintenance-on')} {text(VERBS['maintenance-on'].about)}</p>"
        )
    return f"<section>\n<h2>Maintenance</h2>\n{inner}\n</section>\n"


def taken_page(verb: str, name: str, instances: Sequence[str], daemon: str) -> bytes:
    """The answer to an order that was taken: what the daemon answered."""
    meant = f"It is for {', '.join(instances)}." if instances else "It changes no instance."
    title = f"{VERBS[verb].label}: {name}"
    said = f"{VERBS[verb].label}: the daemon has taken the order. {meant}"
    body = (
        f'{_head(title, name)}<main id="main">\n<p id="answer" role="status">{text(said)}</p>\n'
        "<p>The pages above show what becomes of it.</p>\n</main>\n"
    )
    return frame(f"{title} · {daemon}", body)


def waiting_sentence(seconds: float) -> str:
    """For a client that has sent too many wrong tokens."""
    return f"Too many wrong tokens came from this client. Try again in {span(seconds)}."
