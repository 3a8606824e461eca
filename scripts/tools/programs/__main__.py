"""Measures what known programs do under a manager: what they say, and how each signal ends them.

Each program of the folder `recipes` runs several times in a temporary folder, as Debian, PyPI or npm has it now.  What
is seen is compared with supervisor/programs/book; a difference is printed with both values, and --write puts what was
seen into the book.  Programs of Debian that are not installed are left out; those of PyPI and npm are installed into a
temporary folder.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scripts.tools.arguments import duration
from scripts.tools.programs.book_file import put_seen
from scripts.tools.programs.manager import adopt_orphans, heed_signals
from scripts.tools.programs.measure import NotUp, measure
from scripts.tools.programs.supervise import supervise
from scripts.tools.programs.supervised_file import keep, keep_load, summary
from scripts.tools.programs.under_load import under_load
from supervisor.core.text.nearest import did_you_mean

HERE = Path(__file__).parent
BOOK = HERE.parents[2] / "supervisor" / "programs" / "book"
SYSTEM = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SOURCES = {"pypi": "PyPI", "npm": "npm"}
ABOUT = ("version", "source", "on")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/programs", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", action="append", metavar="NAME", help="only this program")
    parser.add_argument(
        "--supervise",
        action="store_true",
        help="let the real supervisor start, reload, stop and kill each from what `supervisor init -- COMMAND` writes; "
        "--write keeps what was seen for docs/programs.md",
    )
    parser.add_argument(
        "--under-load",
        type=duration,
        metavar="TIME",
        help="run all at once for so long beside busy loops, each from what `supervisor init -- COMMAND` writes: "
        "none may be ended",
    )
    parser.add_argument("--loops", type=int, default=16, help="with --under-load: so many busy loops [16]")
    parser.add_argument("--write", action="store_true", help="put what was seen into the book")
    options = parser.parse_args()
    recipes: dict[str, dict[str, Any]] = {}
    for file in sorted((HERE / "recipes").glob("*.toml")):
        recipes |= tomllib.loads(file.read_text())
    for recipe in recipes.values():
        if "files_of" in recipe:
            recipe["files"] = recipes[recipe["files_of"]]["files"]
    if unknown := sorted(set(options.only or ()) - set(recipes)):
        known = f" (known: {', '.join(recipes)})"
        near = "".join(did_you_mean(name, recipes) for name in unknown)
        parser.error(f"no such program: {', '.join(unknown)}{near or known}")
    adopt_orphans()
    heed_signals()
    if options.under_load:
        chosen = {name: recipes[name] for name in options.only or recipes}
        return int(_under_load(chosen, options.under_load, options.loops, options.write))
    changed = 0
    for name in options.only or recipes:
        changed += _one(name, recipes[name], options.write, options.supervise)
    return 1 if changed else 0


def _installed(package: str, folder: Path) -> tuple[str | None, str]:
    """Install a package of PyPI or npm into `folder`; returns its version, None where there is none, and the PATH."""
    kind, _, name = package.partition(":")
    path = SYSTEM + "".join(f":{place}" for place in sorted(Path("/usr/lib/postgresql").glob("*/bin")))
    if kind not in ("pypi", "npm"):
        return _from_debian(name), path
    folder.chmod(0o755)
    return (_from_pypi if kind == "pypi" else _from_npm)(name, folder), f"{folder}/bin:{path}"


def _under_load(recipes: dict[str, dict[str, Any]], seconds: float, loops: int, write: bool) -> bool:
    """Run all that are there for so long, and print what became of them; returns whether one was ended."""
    with ExitStack() as stack:
        there: dict[str, tuple[dict[str, Any], str]] = {}
        for name, recipe in recipes.items():
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="programs-", ignore_cleanup_errors=True))
            version, path = _installed(recipe["package"], Path(folder))
            if version is not None:
                there[name] = recipe, path
        outcome = under_load(there, seconds, loops)
    for name, why in outcome.left_out.items():
        print(f"  left out: {name}: {why}")
    row = summary(outcome, seconds, loops)
    print("\n".join([", ".join(f"{key} {value}" for key, value in row.items()), *outcome.violations]), flush=True)
    if write:
        keep_load(row)
    return bool(outcome.violations)


def _one(name: str, recipe: dict[str, Any], write: bool, supervised: bool) -> bool:
    """Measure one program and print what became of it; returns whether it differs from the book."""
    kind, _, package = recipe["package"].partition(":")
    with tempfile.TemporaryDirectory(prefix="programs-") as folder:
        version, path = _installed(recipe["package"], Path(folder))
        if version is None:
            print(f"{name}: {package} is not installed: left out", flush=True)
            return False
        if supervised:
            return _supervised(name, version, recipe, path, write)
        try:
            seen = measure(recipe, path)
        except NotUp as error:
            print(f"{name} {version}: does not come up here: {error}", flush=True)
            return True
    source = f"{SOURCES[kind]} {package}" if kind in SOURCES else f"Debian {_debian()} {package}"
    about = {"version": version, "source": source, "on": datetime.now(UTC).date()}
    before = tomllib.loads(text)["seen"] if (text := _text(name)) and "[seen]" in text else {}
    lines = [
        f"  {key}: {before[key]!r} in the book, {seen.get(key)!r} now" if key in before else f"  {key}: {seen[key]!r}"
        for key in {**before, **seen}
        if key not in ABOUT and before.get(key) != seen.get(key)
    ]
    print("\n".join([f"{name} {version}: {'changed' if lines else 'the same'}", *lines]), flush=True)
    if write:
        (BOOK / f"{name}.toml").write_text(put_seen(text or f'names = ["{name}"]\ntitle = "{name}"\n', about | seen))
    return bool(lines)


def _supervised(name: str, version: str, recipe: dict[str, Any], path: str, write: bool) -> bool:
    """Supervise one program and print what became of it; returns whether something was wrong."""
    seen, wrong = supervise(recipe, BOOK / f"{name}.toml", path)
    told = ", ".join(f"{step}: {said}" for step, said in seen.items())
    print("\n".join([f"{name} {version}: {told}", *([f"  WRONG: {wrong}"] if wrong else [])]), flush=True)
    if write:
        keep(name, {"version": version, "on": datetime.now(UTC).date(), **seen, **({"wrong": wrong} if wrong else {})})
    return bool(wrong)


def _text(name: str) -> str:
    path = BOOK / f"{name}.toml"
    return path.read_text() if path.exists() else ""


def _from_pypi(package: str, folder: Path) -> str | None:
    """Install it into an environment in `folder`; returns its version."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    subprocess.run([folder / "bin" / "pip", "install", "-q", package], check=True, stderr=subprocess.DEVNULL)
    command = [
        str(folder / "bin" / "python"),
        "-c",
        "import sys, importlib.metadata as m; print(m.version(sys.argv[1]))",
    ]
    done = subprocess.run([*command, package], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def _from_npm(package: str, folder: Path) -> str | None:
    """Install it into `folder`; returns its version."""
    if shutil.which("npm") is None:
        return None
    command = ["npm", "install", "--global", "--prefix", str(folder), "--no-audit", "--no-fund", package]
    subprocess.run(command, check=True, capture_output=True)
    version: str = json.loads((folder / "lib" / "node_modules" / package / "package.json").read_text())["version"]
    return version


def _from_debian(package: str) -> str | None:
    """Its version; none is told of a package of which only the configuration is left."""
    command = ["dpkg-query", "-W", "-f=${db:Status-Status} ${Version}", package]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.match(r"installed (?:\d+:)?([^-+~]+)", done.stdout)
    return found[1] if found else None


def _debian() -> str:
    return Path("/etc/debian_version").read_text().strip().partition(".")[0]


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main())
