"""An earlier commit of this repository, to be measured beside the present one."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from scripts.tools.bench.install import Absent, Tools, cache
from scripts.tools.bench.peers.ours import Ours

ROOT = Path(__file__).resolve().parents[4]


def revision(commit: str) -> type[Ours]:
    """The peer of `commit`, named by its short hash. Raises Absent if this checkout does not have that commit."""
    found = subprocess.run(
        ["git", "rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if found.returncode != 0:
        raise Absent(f"{commit} is no commit of this checkout")
    full = found.stdout.strip()

    class Revision(Ours):
        name = full[:7]
        is_build = True

        def install(self) -> Tools:
            return _install(full)

    return Revision


def _install(commit: str) -> Tools:
    """Install the commit's files into the cache, in a virtual environment of their own."""
    home = cache() / f"revision-{commit[:12]}"
    if not (home / "installed").exists():
        shutil.rmtree(home, ignore_errors=True)
        archive = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=True).stdout
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(home / "source", filter="data")
        subprocess.run([sys.executable, "-m", "venv", str(home / "venv")], check=True)
        pip = [str(home / "venv" / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", "--editable"]
        subprocess.run([*pip, str(home / "source")], check=True)
        (home / "installed").touch()
    return Tools((home / "venv" / "bin",))
