"""Adds to imported services what the book of programs knows and the other tool has no word for: `reload_check`."""

from __future__ import annotations

from supervisor.config.importers.imported import Imported, Kind
from supervisor.programs.book import recognized
from supervisor.programs.reload import ends_at_reload, reload_check


def add_reload_checks(imported: Imported) -> None:
    """To each service whose program has a check and which has none of its own, with a note."""
    for service in imported.services:
        command = service.table.get("command")
        found = recognized(command) if isinstance(command, list) and "reload_check" not in service.table else None
        check = found and reload_check(found[0], command)
        if found and check:
            service.table["reload_check"] = check
            ends = f", which would end {found[0].title}" if ends_at_reload(found[0]) else ""
            said = f"reload_check finds a broken configuration before a reload{ends} (docs/programs.md)."
            imported.lose(Kind.CHOSEN, service.file, service.line, "", said, service.name)
