"""Fetches the peers into a cache folder: nothing is installed into the system, no service of it is started."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path


class Absent(Exception):
    """A peer cannot be measured here; the message says why."""


def cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "phi-supervisor-bench"


@dataclass(frozen=True, slots=True)
class Tools:
    """Where a peer's programs are, and what they need in their environment."""

    folders: tuple[Path, ...]
    environment: dict[str, str] = field(default_factory=dict)
    version: str = ""

    def __getitem__(self, program: str) -> str:
        found = shutil.which(program, path=os.pathsep.join(map(str, self.folders)))
        if found is None:
            raise Absent(f"{program} is not where it was installed")
        return found


def from_pypi(requirement: str) -> Tools:
    """A package in a virtual environment of its own."""
    home = cache() / requirement
    tools = Tools((home / "bin",))
    if not (home / "installed").exists():
        shutil.rmtree(home, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(home)])
        _run([str(home / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", requirement])
        (home / "installed").touch()
    return tools


def from_npm(package: str) -> Tools:
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise Absent(f"no {program}")
    home = cache() / package
    tools = Tools((home / "node_modules" / ".bin",))
    if not (home / "installed").exists():
        home.mkdir(parents=True, exist_ok=True)
        (home / "package.json").write_text(json.dumps({"private": True}))
        _run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", package], cwd=home)
        (home / "installed").touch()
    return tools


def from_debian(package: str, program: str, libraries: tuple[str, ...] = ()) -> Tools:
    """The system's own `program`, else the Debian package unpacked into the cache, with those of its dependencies whose
    names begin with one of `libraries` (the others are on every Debian)."""
    if found := shutil.which(program):
        return Tools((Path(found).parent,), version=_installed_version(package))
    for needed in ("apt-get", "apt-cache", "dpkg-deb"):
        if shutil.which(needed) is None:
            raise Absent(f"{program} is not installed, and there is no {needed} to fetch it with")
    home = cache() / package
    if not (home / "installed").exists():
        home.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0 and not _known_to_apt(package):
            _run(["apt-get", "update"])
        _run(["apt-get", "download", package, *_dependencies(package, libraries)], cwd=home)
        version = _run(["dpkg-deb", "--field", str(next(home.glob(f"{package}_*.deb"))), "Version"]).strip()
        for archive in home.glob("*.deb"):
            _run(["dpkg-deb", "--extract", str(archive), str(home)])
            archive.unlink()
        (home / "installed").write_text(version)
    shared = sorted({str(library.parent) for library in home.glob("**/*.so*")})
    environment = {"LD_LIBRARY_PATH": os.pathsep.join(shared)} if shared else {}
    return Tools((home / "usr" / "bin", home / "usr" / "sbin"), environment, (home / "installed").read_text())


def _installed_version(package: str) -> str:
    done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else "?"


def _known_to_apt(package: str) -> bool:
    return bool(subprocess.run(["apt-cache", "show", package], capture_output=True, check=False).stdout)


def _dependencies(package: str, prefixes: tuple[str, ...]) -> list[str]:
    if not prefixes:
        return []
    command = ["apt-cache", "depends", "--recurse", "--no-recommends", "--no-suggests", "--no-conflicts", "--no-breaks"]
    listed = _run([*command, "--no-replaces", "--no-enhances", package]).splitlines()
    return sorted({name for name in listed if name.startswith(prefixes)})


def _run(command: list[str], cwd: Path | None = None) -> str:
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=600, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Absent(f"{command[0]}: {error}") from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise Absent(f"{' '.join(command[:3])} … failed: {said[-1] if said else done.returncode}")
    return done.stdout
