"""All files of the sort that stands in public projects, by tool: at least twelve of each kind.

They are in words of their own, with what is hard in them kept.  `scripts/imports` gives them to the real tools.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.config.importers.circus.files import FILES as CIRCUS
from tests.config.importers.compose.files import FILES as COMPOSE
from tests.config.importers.pm2.test_importer import CALLER
from tests.config.importers.pm2.test_importer import CASES as PM2
from tests.config.importers.pm2.test_importer import FILES as PM2_FILES
from tests.config.importers.pm2.test_importer import PROGRAMS as PM2_PROGRAMS
from tests.config.importers.procfile.test_importer import CASES as PROCFILE
from tests.config.importers.supervisord.files import ENVIRONMENT as SUPERVISORD_ENVIRONMENT
from tests.config.importers.supervisord.files import FILES as SUPERVISORD
from tests.config.importers.systemd.cases import CASES as SYSTEMD

MARKS = {"supervisord": "HERE", "systemd": "@HERE@", "pm2": "CASE"}


@dataclass
class PublicFile:
    """`files` are texts by name, in which the mark stands for their folder; `main` is given to the tool.
    `environment` is what its caller has beside PATH; `programs` and `scripts` are what has to be there."""

    tool: str
    name: str
    main: str
    files: dict[str, str]
    environment: dict[str, str]
    programs: tuple[str, ...] = ()
    scripts: tuple[str, ...] = ()

    def write(self, folder: Path) -> Path:
        """Write all into a folder; the path of the main one."""
        mark = MARKS.get(self.tool)
        for name, text in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text.replace(mark, str(folder)) if mark else text)
        (folder / "bin").mkdir()
        for program in self.programs:
            if program != "node":
                (folder / "bin" / program).symlink_to("/bin/true")  # PM2 asks whether it is a binary
        for name in self.scripts:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("")
            (folder / name).chmod(0o755)
        return folder / self.main


def public_files() -> Iterator[PublicFile]:
    """All of them, those of one tool together."""
    for name, files in SUPERVISORD.items():
        yield PublicFile("supervisord", name, "supervisord.conf", files, SUPERVISORD_ENVIRONMENT)
    for name, case in PROCFILE.items():
        yield PublicFile("procfile", name, "Procfile", {"Procfile": case.procfile, ".env": case.dotenv}, case.caller)
    for one in PM2:
        yield PublicFile("pm2", one.name, one.file, {one.file: one.text}, CALLER, PM2_PROGRAMS, PM2_FILES)
    for unit in SYSTEMD:
        yield PublicFile("systemd", unit.unit, unit.unit, unit.files, {})
    for name, text in COMPOSE.items():
        yield PublicFile("compose", name, "compose.yaml", {"compose.yaml": text, ".env": "LEVEL=warn\nTAG=9\n"}, {})
    for name, text in CIRCUS.items():
        yield PublicFile("circus", name, "circus.ini", {"circus.ini": text}, {"HOME": "/home/deploy"})
