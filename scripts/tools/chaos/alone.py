"""Runs a daemon of its own in a temporary place, for measurements that bring their own services."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from supervisor.client import Client
from supervisor.core.model.documents import Event
from supervisor.core.text.timestamps import from_iso

JSON = dict[str, Any]
HEAD = """
[supervisor]
name = "chaos"
runtime_dir = "{place}/r"
state_dir = "{place}/s"
"""
ROOT = Path(__file__).resolve().parents[3]


@contextlib.contextmanager
def daemon(services: str, programs: Mapping[str, str]) -> Iterator[tuple[Client, Path]]:
    """A ready daemon with these services, ended afterwards.

    In `services`, `{place}` is the folder of the programs, `{python}` this interpreter and `{root}` the checkout.
    """
    with tempfile.TemporaryDirectory(prefix="chaos-") as name:
        place = Path(name)
        for program, code in programs.items():
            (place / program).write_text(code)
        file = place / "services.toml"
        file.write_text((HEAD + services).format(place=place, python=sys.executable, root=ROOT))
        command = [sys.executable, "-m", "supervisor", "-f", str(file)]
        subprocess.run([*command, "up", "-d"], check=True, stdout=subprocess.DEVNULL)
        try:
            yield Client(f"{place}/r/control.sock"), place
        finally:
            subprocess.run([*command, "down"], check=False, stdout=subprocess.DEVNULL)


def events(client: Client) -> list[Event]:
    """All events of the ledger, oldest first."""
    found: list[Event] = []
    while page := client.events(after=found[-1]["id"] if found else 0, limit=1000):
        found += page
    return found


def suspected(event: Event) -> bool:
    """Whether a suspicion begins with this event."""
    return bool(event["to"] == "suspect" and event["from"] != "suspect")


def ended(event: Event) -> bool:
    """Whether the supervisor ends an instance by itself with this event."""
    return bool(event["to"] == "stopping" and event["from"] != "stopping" and event["cause"] != "shutdown")


def tell(report: JSON, say: Callable[[str], None]) -> JSON:
    """Print each violation; returns the report."""
    for violation in report["violations"]:
        say(f"VIOLATION: {violation}")
    return report


def moment(event: Event) -> float:
    """The time of an event, in seconds since the epoch."""
    return from_iso(event["at"])
