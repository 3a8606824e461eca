"""Runs frequent and urgent commands without click, whose import takes as long as everything else together."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from functools import partial

from supervisor.cli.daemon_target import DaemonTarget, on_terminal
from supervisor.errors import NoDaemon

TYPE_CHECKING = False  # importing typing takes time
if TYPE_CHECKING:
    from supervisor.core.model.documents import Status

NOT_UP = 3
ORDERS = ("start", "stop", "reset")
"""Those that need no look at anything else before they are sent."""
ANY_WIDTH = 80
"""Columns where the terminal does not tell."""


def understood(arguments: Sequence[str], target: DaemonTarget) -> Callable[[], int] | None:
    """What carries out `status [--json] [SERVICE]…`, `start`, `stop` or `reset [SERVICE]…`, or `wait [--for WHAT]
    [--timeout TIME] SERVICE…`, each with -f FILE or --socket PATH; None for everything else, which click parses."""
    command = arguments[0] if arguments else ""
    if command not in ("status", "wait", *ORDERS):
        return None
    as_json, services, files, sockets = False, [], [], []
    what, within = ["ready"], [""]
    words = iter(arguments[1:])
    for word in words:
        if word == "--json" and command == "status":
            as_json = True
        elif word in ("-f", "--file"):
            files.append(next(words, None))
        elif word == "--for" and command == "wait":
            what.append(next(words, ""))
        elif word == "--timeout" and command == "wait":
            within.append(next(words, ""))
        elif word == "--socket":
            sockets.append(next(words, None))
        elif word.startswith("-"):
            return None
        else:
            services.append(word)
    if None in (*files, *sockets):
        return None
    wait = _waiting(target, what[-1], within[1:], services) if command == "wait" else None
    if command == "wait" and wait is None:
        return None
    for path in files:
        target.name_file(str(path))
    for path in sockets:
        target.name_socket(str(path))
    if wait is not None:
        return wait
    if command in ORDERS:
        target.acts = True
        return partial(order, target, command, services)
    return lambda: status(target, as_json, services)


def order(target: DaemonTarget, verb: str, services: Sequence[str]) -> int:
    """Send the command at once, and return when it is carried out."""
    from supervisor.cli.waiting.asking import ask

    ask(target.client, verb, services)
    return 0


def _waiting(
    target: DaemonTarget, what: str, within: Sequence[str], services: Sequence[str]
) -> Callable[[], int] | None:
    """What waits for the services; None where click has to say what is wrong with the arguments."""
    from supervisor.core.services.awaited import WHAT

    timeout = None
    if within:
        from supervisor.config.units import parse_duration

        try:
            timeout = parse_duration(within[-1])
        except ValueError:
            return None
    if what not in WHAT or not services:
        return None

    def wait() -> int:
        from supervisor.cli.waiting.awaiting import wait_for

        wait_for(target.client, what, timeout, services)
        return 0

    return wait


def status(target: DaemonTarget, as_json: bool, services: Sequence[str]) -> int:
    """Print the rows, the page of one name, or the answer of the API as it is; returns the exit code for them."""
    found, text = ask_status(target, as_json, services)
    missed = missing_rows(found)
    for_reader = on_terminal() or target.paints
    if as_json:
        if for_reader:
            from json import dumps

            sys.stdout.write(dumps(found, indent=2) + "\n")
        else:
            sys.stdout.write(f"{text.decode()}\n")
    else:
        shown = _page(target, found, missed, services)
        sys.stdout.write(shown or rows(target, found, missed))
        if not for_reader or (shown and len(found["instances"]) == 1):
            tell_problems(found)
            tell_deviations(found)
    return NOT_UP if missed else 0


def ask_status(target: DaemonTarget, as_json: bool, services: Sequence[str]) -> tuple[Status, bytes]:
    """The status, and its text as the daemon sent it; where no daemon runs, what still does is printed before NoDaemon
    is raised.  A daemon that is about to listen, or about to end, is waited for."""
    try:
        return target.client.status_and_text(services)
    except NoDaemon as why:
        from supervisor.cli import unwatched

        if unwatched.listens_soon(target, why):
            return target.client.status_and_text(services)
        raise unwatched.status(target, why, as_json, services) from None


def rows(target: DaemonTarget, found: Status, missed: int) -> str:
    """The rows: a table with a summary for a reader, else aligned columns."""
    if on_terminal() or target.paints:
        from supervisor.display.status_table import painted, table, unpainted

        return table(found, missed, width(), painted if target.paints else unpainted)
    return plain(found)


def _page(target: DaemonTarget, found: Status, missed: int, services: Sequence[str]) -> str:
    """The page of one name; empty where rows are to be printed."""
    if len(services) != 1:
        return ""
    from supervisor.cli.instances import page

    if not page.has_page(services, found):
        return ""
    first, rest = page.lines(target, found)
    if on_terminal() or target.paints:
        from supervisor.display.severity import severity
        from supervisor.display.status_table import by_severity, painted, unpainted

        paint = painted if target.paints else unpainted
        worst = max(found["instances"], key=lambda row: (severity(row), row["name"]))
        first = paint("● ", by_severity(worst) or "bold") + paint(first, "bold")
    lines = [first, *rest]
    if len(found["instances"]) > 1:
        lines += ["", *rows(target, found, missed).splitlines(), "", *page.hints(found["instances"])]
    return "".join(f"{line}\n" for line in lines)


def width() -> int:
    """Columns of the terminal."""
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given):
        return int(given)
    for number in (1, 2, 0):
        try:
            return os.get_terminal_size(number).columns or ANY_WIDTH
        except OSError:
            continue
    return ANY_WIDTH


def tell_problems(status: Status) -> None:
    """Print the problems of the daemon, and rollouts under way, on stderr: a script reads rows on stdout."""
    from supervisor.display.status_row import printable

    for problem in status["supervisor"]["problems"]:
        lines = "\n  ".join(map(printable, problem.splitlines()))
        sys.stderr.write(f"! {lines}\n")
    if status["supervisor"].get("rollouts") or not all(row["current"] for row in status["instances"]):
        from supervisor.display.rollout_line import under_way

        sys.stderr.write("".join(f"{printable(line)}\n" for line in under_way(status)))


def tell_deviations(status: Status) -> None:
    """Print what runs otherwise than the file says, on stderr too."""
    if status["supervisor"].get("deviations") or "profiles" in status["supervisor"]:
        from supervisor.display.deviations import deviation_lines

        for text in deviation_lines(status["supervisor"]):
            sys.stderr.write(f"~ {text}\n")


def plain(status: Status) -> str:
    """Aligned columns."""
    from supervisor.display.status_row import COLUMNS, RIGHT, aligned, cells, printable

    return aligned([COLUMNS, *(tuple(map(printable, cells(row))) for row in status["instances"])], RIGHT)


def missing_rows(status: Status) -> int:
    """How many that should be up are not."""
    if all(row["ready"] for row in status["instances"] if row["goal"] == "up"):
        return 0  # saves an import
    from supervisor.core.services.status import missing

    return len(missing(status))
