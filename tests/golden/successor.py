"""Stands between two versions in an upgrade: `successor.py PROJECT PYTHON ARGUMENTS…` becomes PYTHON ARGUMENTS.

Where these say that a daemon is being succeeded, all that it left is written to PROJECT/found first.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import stat
import sys
from collections.abc import Mapping
from pathlib import Path

KINDS = {stat.S_IFDIR: "directory", stat.S_IFREG: "file", stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket"}


def main(project: Path, python: str, arguments: list[str]) -> None:
    if "--upgraded-from" in arguments:
        found = project / "found"
        found.mkdir()
        (found / "ledger.sql").write_text(dump(project / "state" / "ledger.db"))
        (found / "plan.json").write_text((project / "run" / "plan.json").read_text() + "\n")
        (found / "id").write_text((project / "run" / "id").read_text())
        (found / "handover.json").write_text(lines(handover(arguments)))
        (found / "files.json").write_text(lines(files(project)))
        (found / "logs.json").write_text(lines(logs(project / "state" / "log")))
    os.execv(python, [python, *arguments])


def dump(path: Path) -> str:
    """The whole database as SQL."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        pragmas = [
            f"PRAGMA {p} = {db.execute(f'PRAGMA {p}').fetchone()[0]};" for p in ("application_id", "user_version")
        ]
        return "\n".join([*pragmas, *db.iterdump()]) + "\n"


def lines(facts: Mapping[str, object]) -> str:
    """As JSON, one fact a line."""
    return "{\n" + ",\n".join(f" {json.dumps(k)}: {json.dumps(v)}" for k, v in facts.items()) + "\n}\n"


def handover(arguments: list[str]) -> dict[str, object]:
    """What the successor is told: its arguments, the descriptors' names, and the will."""
    value = os.environ["SUPERVISOR_HANDOVER"]
    will = int(re.search(r"(?:^|,)will:(\d+)", value)[1])  # type: ignore[index]
    return {
        "arguments": arguments,
        "SUPERVISOR_HANDOVER": value,
        "will": json.loads(os.pread(will, 1 << 24, 0)),
    }


def files(project: Path) -> dict[str, str]:
    """What there is in the runtime and the state directory, and of what kind."""
    found = sorted(p for top in ("run", "state") for p in (project / top).rglob("*"))
    return {str(p.relative_to(project)): KINDS[stat.S_IFMT(p.lstat().st_mode)] for p in found}


def logs(directory: Path) -> dict[str, str]:
    """Some files of logs, in hexadecimal digits."""
    return {name: (directory / name).read_bytes().hex() for name in ("dead.log", "dead.log.idx", "phi.log")}


main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
