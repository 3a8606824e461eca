"""Adds to imported services what the book of programs knows and the other tool has no word for: `reload_check`."""

from __future__ import annotations

from supervisor.config.importers.imported import Imported, Kind
from supervisor.programs.book import recognized
from supervisor.programs.reload import ends_at_reload, reload_check


def add_reload_checks(imported: Imported) -> None:
    """To each service whose program has a check and which has none of its own, with a note."""
    for service in imported.services:
        command: list[str] = service.table.get("command") or []
        found = recognized(command)
        if found is None or "reload_check" in service.table:
            continue
        program, _ = found
        if check := reload_check(program, command):
            service.table["reload_check"] = check
            ends = f", which would end {program.title}" if ends_at_reload(program) else ""
            said = f"reload_check finds a broken configuration before a reload{ends} (docs/programs.md)."
            imported.lose(Kind.CHOSEN, service.file, service.line, "", said, service.name)
