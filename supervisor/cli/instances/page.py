"""The page of `status NAME`: asks the daemon for what it shows."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from supervisor.cli.daemon_target import DaemonTarget, on_terminal
from supervisor.core.text.name_patterns import is_pattern
from supervisor.display.instance_page import LINES, Limits, Page, first_line, labelled, next_commands, page_lines
from supervisor.display.process_tree import ASCII, takes_lines
from supervisor.display.process_tree import LINES as DRAWN
from supervisor.errors import NoDaemon, NoSuchService, SupervisorError

if TYPE_CHECKING:
    from supervisor.client import Client
    from supervisor.core.model.documents import Status
    from supervisor.core.model.instance_documents import Instance
    from supervisor.core.model.log_documents import LogLine
    from supervisor.core.model.spec import ReadySpec, ServiceSpec


def has_page(services: Sequence[str], status: Status) -> bool:
    """Whether one name was given, which is no pattern and means instances of one service."""
    return (
        len(services) == 1
        and len({row["service"] for row in status["instances"]}) == 1
        and (not is_pattern(services[0]) or services[0] in {row["service"] for row in status["instances"]})
    )


def lines(target: DaemonTarget, status: Status) -> tuple[str, list[str]]:
    """The first line of the page, and the rest; of a service with several instances its rows are not among them."""
    client, rows = target.client, status["instances"]
    width = None
    if on_terminal():
        from shutil import get_terminal_size

        width = get_terminal_size().columns
    name = rows[0]["service"]
    services = {one["name"]: one for one in client.services()["services"]}
    own = services.get(name)
    defined = _defined(status["supervisor"]["config"], name)
    needs = list(own["depends_on"]) if own is not None else []
    needed_by = [one["name"] for one in services.values() if name in one["depends_on"]]
    states = _states(client, [*needs, *needed_by])
    description = own["description"] if own is not None else ""
    if len(rows) > 1:
        facts = [("Defined", defined), ("Needs", _listed(needs, states)), ("Needed by", _listed(needed_by, states))]
        return first_line(name, description), [
            line for label, text in facts if text for line in labelled(label, text, width)
        ]
    from supervisor.core.history.why import why

    view = client.instance(rows[0]["name"])
    spec = _spec(target, name)
    page = Page(
        view=view,
        story=why(view, view["transitions"], lambda number: client.evidence(number), lambda *_: [], last=1),
        now=time.time(),
        defined=defined,
        ready=_ready(spec.ready) if spec is not None else "",
        reloads=_reloads(spec),
        limits=_limits(spec),
        needs={one: states.get(one, "") for one in needs},
        needed_by={one: states.get(one, "") for one in needed_by},
        lines=_output(client, view["name"]),
    )
    drawing = DRAWN if width is not None and takes_lines(sys.stdout.encoding) else ASCII
    return first_line(view["name"], description), page_lines(page, drawing, width)


def hints(rows: Sequence[Instance]) -> list[str]:
    """What to type next, for a service with several instances."""
    return next_commands(max(rows, key=_worst))


def _worst(row: Instance) -> int:
    from supervisor.display.severity import severity

    return severity(row)


def _states(client: Client, services: Iterable[str]) -> dict[str, str]:
    """The states of the instances of each service: `running, ready`, or `2 of 3 ready`."""
    from supervisor.display.status_row import state_and_readiness

    wanted = list(dict.fromkeys(services))
    rows: list[Instance] = []
    with suppress(NoSuchService):  # a reload has removed one a moment ago
        rows = client.status(wanted)["instances"] if wanted else []
    found = {}
    for name in wanted:
        mine = [row for row in rows if row["service"] == name]
        if len(mine) == 1:
            found[name] = state_and_readiness(mine[0])
        elif mine:
            found[name] = f"{sum(row['ready'] for row in mine)} of {len(mine)} ready"
    return found


def _listed(services: Sequence[str], states: dict[str, str]) -> str:
    return ", ".join(f"{name} ({states[name]})" if states.get(name) else name for name in services)


def _defined(path: str, service: str) -> str:
    """The file that has the service, with the line; services.toml without a line where it cannot be read."""
    from supervisor.config.source.lines import line_numbers
    from supervisor.config.source.read import read_text

    with suppress(SupervisorError, OSError, ValueError):
        if line := line_numbers(read_text(Path(path))).get(("services", service)):
            return f"{path}:{line}"
        from supervisor.config.definition import place_of  # only a service of an included file pays for the import

        if found := place_of(path, service):
            return f"{Path(path).parent / found[0]}:{found[1]}"
    return path


def _spec(target: DaemonTarget, service: str) -> ServiceSpec | None:
    plan = target.plan_in_force
    return plan.service(service) if plan is not None else None


def _limits(spec: ServiceSpec | None) -> Limits:
    resources = spec.resources if spec is not None else None
    if resources is None:
        return Limits()
    return Limits(resources.max_memory, resources.max_cpu, resources.max_tasks)


def _ready(ready: ReadySpec | None) -> str:
    """How its readiness is found."""
    from supervisor.config.explain import readiness

    return readiness(ready) if ready is not None else ""


def _reloads(spec: ServiceSpec | None) -> str:
    from supervisor.config.explain import reloading

    return reloading(spec) if spec is not None else ""


def _output(client: Client, name: str) -> Sequence[LogLine] | str:
    try:
        return client.logs(name, lines=LINES)["lines"]
    except NoDaemon:
        raise
    except SupervisorError as error:
        return f"cannot be read: {error.message}"
