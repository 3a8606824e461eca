"""The progress display of `up -d`: a bar, and one line for each instance that is still awaited."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from supervisor.core.services.settled import Failure, Rows
from supervisor.display.state_style import severity_color
from supervisor.display.status_row import note, printable

MOST_LINES = 12


class Bar:
    """A context manager that shows the bar and removes it at the end."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._live = Live(auto_refresh=False, transient=True)

    def __enter__(self) -> Bar:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def __call__(self, rows: Rows, found: Mapping[str, bool | Failure]) -> None:
        ready = sum(result is True for result in found.values())
        failed = sum(isinstance(result, Failure) for result in found.values())
        head = Table.grid(padding=(0, 1))
        count = Text(f"{ready} of {self._total} ready", "bold")
        if failed:
            count.append(f", {failed} failed", "bold red")
        head.add_row(ProgressBar(total=max(1, self._total), completed=ready, width=32), count)
        lines = Table.grid(padding=(0, 2))
        awaited = [name for name, result in found.items() if result is not True and name in rows]
        for name in awaited[:MOST_LINES]:
            row, result = rows[name], found[name]
            said = str(result) if isinstance(result, Failure) else note(row)
            tone = "bold red" if isinstance(result, Failure) else severity_color(row)
            lines.add_row(Text(name), Text(row["state"], tone), Text(printable(said), "dim"))
        if len(awaited) > MOST_LINES:
            lines.add_row(Text(f"… and {len(awaited) - MOST_LINES} more", "dim"))
        self._live.update(Group(head, lines), refresh=True)
