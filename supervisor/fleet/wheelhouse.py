"""The wheels that a host needs, in one archive: this supervisor as it runs here, and its dependencies in the versions
that are installed here, for the Python and platform of the host.

The supervisor's own wheel is made from the files that run this command, so no index has to have it.  The others come
from an index by `pip download`, or from a directory; they are kept, so that a second run needs no index.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import threading
import zipfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from supervisor import __version__
from supervisor.fleet.problems import HostProblem, Kind
from supervisor.fleet.steps import Target

PROJECT = "phi-supervisor"
DOWNLOAD_WITHIN = 600.0
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)\s*(?:\[([^]]*)\])?")
_FOR_EXTRA = re.compile(r"""extra\s*==\s*['"]([^'"]+)['"]""")
_EPOCH = (2020, 1, 1, 0, 0, 0)
_OLDEST_GLIBC = 17
"""manylinux_2_17 is manylinux2014; all that is built today fits 2.17 or newer."""


@dataclass(frozen=True, slots=True)
class Release:
    """An archive of wheels, and the name of what is built from it: the version and a hash of all its files.

    `project`: what pip is to install from it, with its extras."""

    name: str
    archive: Path
    project: str = PROJECT


class Wheelhouse:
    """Makes one archive for each target; threads of several hosts ask at once."""

    def __init__(self, wheels: Path | None = None, extras: frozenset[str] = frozenset()) -> None:
        self._given, self._extras = wheels, extras
        self._lock = threading.Lock()
        self._made: dict[Target, Release] = {}
        self._own: tuple[str, bytes] | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="phi-fleet-")

    def close(self) -> None:
        """Remove the archives."""
        self._folder.cleanup()

    def release(self, target: Target) -> Release:
        """The archive for a target.  HostProblem where it cannot be made."""
        with self._lock:
            if target not in self._made:
                self._made[target] = self._make(target)
            return self._made[target]

    def _make(self, target: Target) -> Release:
        self._own = self._own or own_wheel()
        name, content = self._own
        others = self._dependencies(target)
        digest = hashlib.sha256(f"{target.python} {name} {hashlib.sha256(content).hexdigest()}".encode())
        for wheel in others:
            digest.update(f"{wheel.name} {hashlib.sha256(wheel.read_bytes()).hexdigest()}".encode())
        release = f"{__version__}-{digest.hexdigest()[:12]}"
        archive = Path(self._folder.name) / f"{release}.tar"
        with tarfile.open(archive, "w") as tar:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
            for wheel in others:
                tar.add(wheel, wheel.name)
        extras = f"[{','.join(sorted(self._extras))}]" if self._extras else ""
        return Release(release, archive, f"{PROJECT}{extras}")

    def _dependencies(self, target: Target) -> list[Path]:
        direct = (_requirement(line, self._extras) for line in importlib.metadata.requires(PROJECT) or [])
        wanted = sorted({"pip", *(name for name, _ in filter(None, direct))})
        pins = sorted(f"{name}=={version}" for name, version in installed(self._extras).items())
        key = hashlib.sha256(json.dumps([wanted, pins, tags(target), target.python]).encode()).hexdigest()[:24]
        kept = cache() / key
        if not kept.is_dir():
            kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
                self._download(target, wanted, pins, Path(folder) / "wheels")
                with suppress(OSError):  # another command has made it since
                    (Path(folder) / "wheels").rename(kept)
        return sorted(kept.glob("*.whl"))

    def _download(self, target: Target, wanted: list[str], pins: list[str], to: Path) -> None:
        to.mkdir()
        constraints = to.parent / "constraints.txt"
        constraints.write_text("\n".join(pins) + "\n")
        command = [sys.executable, "-P", "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        command += ["--only-binary=:all:", "--implementation", "cp", "--python-version", target.python]
        command += [word for tag in tags(target) for word in ("--platform", tag)]
        command += ["--no-index", "--find-links", str(self._given)] if self._given else []
        command += ["--constraint", str(constraints), "--dest", str(to), *wanted]
        try:
            answer = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DOWNLOAD_WITHIN, check=False
            )
        except subprocess.TimeoutExpired:
            raise HostProblem(Kind.FAILED, f"`pip download` did not end within {DOWNLOAD_WITHIN:g} s") from None
        if answer.returncode:
            errors = [line for line in answer.stderr.splitlines() if line.startswith("ERROR")] or [answer.stderr[-500:]]
            raise HostProblem(
                Kind.FAILED,
                f"no wheels for Python {target.python} on {target.machine}: {'; '.join(errors[:3])}",
                "Where no index is reachable, give a directory with the wheels: --wheels DIRECTORY.",
            )


def cache() -> Path:
    """Where downloaded wheels are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "phi-supervisor" / "wheels"


def tags(target: Target) -> list[str]:
    """The platform tags that fit, the newest first."""
    if target.libc == "glibc":
        newest = int(target.libc_version.split(".")[1])
        found = [f"manylinux_2_{minor}_{target.machine}" for minor in range(newest, _OLDEST_GLIBC - 1, -1)]
        return [*found, f"manylinux2014_{target.machine}"]
    return [f"musllinux_1_{minor}_{target.machine}" for minor in range(2, -1, -1)]


def installed(extras: frozenset[str] = frozenset()) -> dict[str, str]:
    """The versions of all that the supervisor needs, directly or not, as they are installed here; and pip's."""
    found: dict[str, str] = {}
    needed = [(PROJECT, extras), ("pip", frozenset[str]())]
    for name, wanted in needed:  # grows while it is walked
        try:
            found[name] = importlib.metadata.version(name)
            lines = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # for another Python or platform than this one
        needed += [one for line in lines if (one := _requirement(line, wanted)) is not None and one not in needed]
    if "pip" not in found:
        raise HostProblem(
            Kind.FAILED, f"there is no pip in the environment of {sys.executable}", f"{sys.executable} -m ensurepip"
        )
    return {name: version for name, version in found.items() if name != PROJECT}


def _requirement(line: str, extras: frozenset[str]) -> tuple[str, frozenset[str]] | None:
    """The name and the extras that a line of metadata requires; None where that is for an extra that nothing wants."""
    found = _REQUIREMENT.match(line)
    assert found is not None, line
    for_extra = _FOR_EXTRA.search(line)
    if for_extra is not None and for_extra[1] not in extras:
        return None
    wanted = frozenset(word.strip() for word in (found[2] or "").split(",") if word.strip())
    return re.sub(r"[-_.]+", "-", found[1]).lower(), wanted


def own_wheel() -> tuple[str, bytes]:
    """The name and content of a wheel with the files of the package that runs; the same files make the same wheel."""
    version = __version__
    folder = Path(__file__).parents[1]
    info = f"phi_supervisor-{version}.dist-info"
    files = {
        path.relative_to(folder.parent).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
    described = importlib.metadata.distribution(PROJECT).read_text("METADATA") or ""
    files[f"{info}/METADATA"] = re.sub(r"(?m)^Version: .*$", f"Version: {version}", described, count=1).encode()
    files[f"{info}/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: phi-supervisor\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    files[f"{info}/entry_points.txt"] = b"[console_scripts]\nsupervisor = supervisor.__main__:main\n"
    record = "".join(f"{name},sha256={_digest(content)},{len(content)}\n" for name, content in files.items())
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            wheel.writestr(entry, content)
    return f"phi_supervisor-{version}-py3-none-any.whl", made.getvalue()


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
