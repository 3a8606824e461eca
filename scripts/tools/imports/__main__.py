"""Compares how the tools, installed into a temporary folder, and the importers understand the files of the tests.

supervisord, honcho and circus come from PyPI, PM2 from npm.  systemd, foreman and docker-compose are asked where they
are installed.  A difference is expected where the importer tells a loss of that key.  Any other one makes the exit
code 1, and so does a file that an installed tool did not compare.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from supervisor.config.importers import side_by_side
from supervisor.config.importers.formats import by_tool, read_files
from supervisor.config.importers.imported import ImportRefused, Loss
from supervisor.config.importers.side_by_side import CheckFailed, check
from supervisor.config.importers.supervisord import check as supervisord_check
from tests.config.importers.public_files import PublicFile, public_files

FROM_PYPI = {"supervisord": "supervisor==4.3.0", "procfile": "honcho==2.0.0", "circus": "circus==0.19.0"}
PM2 = "pm2@7.0.4"
KEYS = {"command line": ("script", "execstart", "instances", "exec_interpreter", "interpreter")}
"""The keys of the tools for what is compared."""
PATIENCE = 300.0
"""Seconds that a tool may take to read its files: the machine may have much else to do."""
KEPT = ("PATH", "RUBYLIB", "GEM_PATH")
"""Variables of the caller that the tools need."""


def install(folder: Path, tools: list[str]) -> list[str]:
    """Install what can be had; the folders with the programs."""
    places = []
    for tool in sorted(set(tools) & set(FROM_PYPI)):
        place = folder / tool
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
        pip = [str(place / "bin/pip"), "install", "--quiet", "--disable-pip-version-check", FROM_PYPI[tool]]
        subprocess.run(pip, check=True)
        places.append(str(place / "bin"))
    if "pm2" in tools and shutil.which("npm"):
        subprocess.run(["npm", "install", "--silent", "--prefix", str(folder / "pm2"), PM2], check=True)
        places.append(str(folder / "pm2/node_modules/.bin"))
    return places


def compared(one: PublicFile, folder: Path, path: str) -> tuple[str, int]:
    """The line for a file, with its differences below; and how many of them no loss tells (1: it was not compared)."""
    main = one.write(folder)
    environment = {name: os.environ[name] for name in KEPT if name in os.environ}
    environment |= one.environment | {"PATH": f"{folder}/bin:{path}"}
    os.chdir(folder)
    try:
        losses = read_files([main], environment, one.tool).losses
        comparisons = check(by_tool([main], one.tool), environment)
    except (CheckFailed, ImportRefused) as error:
        return f"  {one.name}: not compared: {error.message}", int("looks for the program" not in error.message)
    lines, untold = [], 0
    rows = [row for comparison in comparisons for row in comparison.rows]
    for row in rows:
        for difference in row.differences:
            expected = any(_tells(loss, difference) for loss in losses)
            untold += not expected
            lines.append(f"    {row.service}: {difference}{' (told)' if expected else ''}")
    kinds = len({kind for comparison in comparisons for kind in comparison.compared})
    head = f"  {one.name}: {len(rows)} compared in {kinds} respects, {len(lines)} differences"
    return "\n".join([head, *lines]), untold


def _tells(loss: Loss, difference: str) -> bool:
    """Whether the loss is about what differs: it has its key, or is about a mark that is replaced."""
    what = difference.rpartition(" in ")[0].partition(": ")[0]
    if "{replica}" in loss.text:
        return True
    if what.startswith("variable "):
        return loss.key in (what.removeprefix("variable "), "environment", "Environment", "EnvironmentFile", "env")
    return loss.key.lower() in (what, *KEYS.get(what, ()))


def main(arguments: list[str] | None = None) -> int:
    """Run all, or the tools that are named; the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/imports", description=__doc__.partition("\n")[0])
    parser.add_argument("tools", nargs="*", metavar="TOOL", help="supervisord, procfile, pm2, systemd, compose, circus")
    parser.add_argument("--installed", action="store_true", help="install nothing: ask the tools that are in PATH")
    given = parser.parse_args(arguments)
    files: dict[str, list[PublicFile]] = {}
    for one in public_files():
        if not given.tools or one.tool in given.tools:
            files.setdefault(one.tool, []).append(one)
    side_by_side.TIMEOUT = supervisord_check.TIMEOUT = PATIENCE
    untold = 0
    with tempfile.TemporaryDirectory(prefix="phi-imports-") as folder:
        path = os.pathsep.join([*([] if given.installed else install(Path(folder), list(files))), os.environ["PATH"]])
        for tool, some in files.items():
            print(f"{tool}: {len(some)} files")
            for number, one in enumerate(some):
                place = Path(folder, f"{tool}-{number}")
                place.mkdir()
                text, count = compared(one, place, path)
                untold += count
                print(text)
    print(f"{untold} differences that no loss tells")
    return 1 if untold else 0


if __name__ == "__main__":
    sys.exit(main())
