"""Fetches the peers into a cache folder; only `from_debian_system` installs something on the system."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


class Absent(Exception):
    """A peer cannot be measured here; the message says why."""


def cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "phi-supervisor-bench"


@dataclass(frozen=True, slots=True)
class Tools:
    """The folders of a peer's programs."""

    folders: tuple[Path, ...]
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


def from_debian(package: str, program: str) -> Tools:
    """The system's own `program`, else the Debian package unpacked into the cache. It must work from any folder."""
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
        _run(["apt-get", "download", package], cwd=home)
        archive = next(home.glob(f"{package}_*.deb"))
        _run(["dpkg-deb", "--extract", str(archive), str(home)])
        (home / "installed").write_text(_run(["dpkg-deb", "--field", str(archive), "Version"]).strip())
    return Tools((home / "usr" / "bin", home / "usr" / "sbin"), version=(home / "installed").read_text())


def from_debian_system(package: str, program: str) -> Tools:
    """As `from_debian`, but install the package, because its programs find each other only in their own folders.

    Only for packages that start nothing when they are installed.
    """
    if shutil.which(program) is None:
        if os.geteuid() != 0 or shutil.which("apt-get") is None:
            raise Absent(f"{program} is not installed, and only root can: apt-get install {package}")
        if not _known_to_apt(package):
            _run(["apt-get", "update"])
        _run(["apt-get", "install", "--yes", "--no-install-recommends", package])
    return from_debian(package, program)


def _installed_version(package: str) -> str:
    done = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True, check=False
    )
    return done.stdout if done.returncode == 0 else "?"


def _known_to_apt(package: str) -> bool:
    return bool(subprocess.run(["apt-cache", "show", package], capture_output=True, check=False).stdout)


def _run(command: list[str], cwd: Path | None = None) -> str:
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=600, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Absent(f"{command[0]}: {error}") from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise Absent(f"{' '.join(command[:3])} … failed: {said[-1] if said else done.returncode}")
    return done.stdout
