"""What runs on a host of the fleet: sent over ssh to the host's own Python, and answers in one line of JSON.

It imports nothing but the standard library, because nothing else is there yet.  Its task comes with it on standard
input, never in a command line, which other users of the host can read.  `main` calls one function of TASKS; the answer
of a task that fails has `error`, with the last output of the failed program.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

SYSTEMD_RUNS = Path("/run/systemd/system")
SYSTEM_UNITS = Path("/etc/systemd/system")
COMPLETE = "complete"
"""A file in a release that was made to its end."""
LAST_WORDS = 2000
"""Characters of a failed program's output that are reported."""
ASK_AGAIN = 0.3
LEFT_BEHIND = 3600.0
"""Seconds after which what has arrived and was not used is removed."""
CONFIG = "services.toml"


class Failed(Exception):
    """A task could not be done; the message is for the user."""


def look(directory: Path, *, pending: bool) -> dict[str, Any]:
    """What is there.  `pending`: also whether the daemon has taken the file as it is."""
    from platform import libc_ver, machine

    found: dict[str, Any] = {
        "target": {
            "python": "{}.{}".format(*sys.version_info),
            "machine": machine(),
            "libc": libc_ver(),
        },
        "directory": str(directory),
        "root": os.geteuid() == 0,
        "systemd": SYSTEMD_RUNS.is_dir(),
        "releases": sorted(place.parent.name for place in directory.glob(f"releases/*/{COMPLETE}")),
        "current": current(directory),
        "config": _digest(directory / CONFIG),
        "unit": None,
        "status": None,
        "pending": False,
    }
    if found["current"] is not None and found["config"] is not None:
        present = _present_unit(directory)
        found["unit"] = str(present) if present is not None else None
        found["status"] = status(directory)
        if pending and found["status"]["code"] in (0, 3):
            found["pending"] = _pending(directory)
    return found


def current(directory: Path) -> str | None:
    """The name of the release in force."""
    try:
        return (directory / "current").readlink().name
    except OSError:
        return None


def _digest(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


def _pending(directory: Path) -> bool:
    answer = _run(supervisor(directory, "reload", "--dry-run", "--json"), 30.0)
    try:
        found = json.loads(answer.stdout)
        return any(found.get(key) for key in ("added", "removed", "changed", "supervisor"))
    except ValueError:
        return True


def prepare(directory: Path) -> dict[str, Any]:
    """Make the directory, and one for what arrives, into which the user alone can look."""
    incoming = directory / "incoming"
    (directory / "releases").mkdir(parents=True, exist_ok=True)
    incoming.mkdir(mode=0o700, exist_ok=True)
    for path in incoming.iterdir():
        if time.time() - path.stat().st_mtime > LEFT_BEHIND:  # by a run that was cut off
            path.unlink()
    return {"incoming": str(incoming)}


def build(directory: Path, archive: str, release: str, project: str) -> dict[str, Any]:
    """Make a virtual environment from an archive of wheels, without any index.  It counts only when its file `complete`
    is there, so that one that was cut off is made again."""
    place = directory / "releases" / release
    if (place / COMPLETE).exists():
        return {}
    shutil.rmtree(place, ignore_errors=True)
    wheels = place / "wheels"
    wheels.mkdir(parents=True)
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            content = tar.extractfile(member)
            if content is None or Path(member.name).name != member.name:
                raise Failed(f"{archive}: {member.name!r} is no wheel")
            with (wheels / member.name).open("wb") as file:
                shutil.copyfileobj(content, file)
    pip = next(wheels.glob("pip-*.whl"))
    _must([sys.executable, "-I", "-m", "venv", "--without-pip", str(place)], 120.0)
    python = str(place / "bin/python")
    options = ["--no-index", "--find-links", str(wheels), "--no-cache-dir", "--disable-pip-version-check", "--quiet"]
    options += ["--no-compile"]  # more than half of the time is for modules that are never imported
    _must(
        [python, "-P", "-m", "pip", "install", *options, "--root-user-action", "ignore", project],
        600.0,
        {"PYTHONPATH": str(pip), "PIP_CONFIG_FILE": os.devnull},
    )
    _must([python, "-P", "-m", "supervisor", "--version"], 60.0)
    (place / COMPLETE).touch()
    Path(archive).unlink()
    shutil.rmtree(wheels)
    return {}


def activate(directory: Path, release: str) -> dict[str, Any]:
    """Make `current` name the release, in one step."""
    temporary = directory / f".current.{os.getpid()}"
    temporary.symlink_to(Path("releases", release))
    temporary.replace(directory / "current")
    _renew_unit(directory)
    return {}


def configure(directory: Path, arrived: str, release: str) -> dict[str, Any]:
    """Put a file that has arrived in the place of services.toml, if `check` takes it here."""
    place, trial = directory / CONFIG, directory / f".{CONFIG}"  # relative paths in it mean the same as in its place
    Path(arrived).replace(trial)
    try:
        checked = _run([*_command(directory / "releases" / release), "check", str(trial)], 60.0)
        if checked.returncode:
            said = checked.stderr.replace(str(trial), CONFIG).removeprefix("supervisor: ").strip()
            raise Failed(said[-LAST_WORDS:] or f"`check` ended with {checked.returncode}")
        if place.exists():
            shutil.copy2(place, _former(directory))
        trial.replace(place)
    finally:
        trial.unlink(missing_ok=True)
    _renew_unit(directory)
    return {}


def put_back(directory: Path) -> dict[str, Any]:
    """Put the former services.toml in the place of the one that came last, and let the daemon take it."""
    _former(directory).replace(directory / CONFIG)
    _renew_unit(directory)
    return reload(directory)


def unit(directory: Path, *, user: bool) -> dict[str, Any]:
    """Write the unit that runs the daemon, and let systemd know of it."""
    text = _must(supervisor(directory, "systemd", *(["--user"] if user else [])), 60.0) + "\n"
    path = _unit_path(directory, user=user)
    if not path.is_file() or path.read_text() != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        new.write_text(text)
        new.chmod(0o644)
        new.replace(path)
        _must([*_systemctl(user=user), "daemon-reload"], 60.0)
    return {"unit": str(path)}


def _renew_unit(directory: Path) -> None:
    """Its limits and times are computed from services.toml, by the release in force."""
    if (present := _present_unit(directory)) is not None:
        unit(directory, user=present.parent != SYSTEM_UNITS)


def start(directory: Path) -> dict[str, Any]:
    """Start the daemon: by its unit where there is one."""
    present = _present_unit(directory)
    if present is None:
        _must(supervisor(directory, "up", "-d"), 300.0)
    else:
        _must([*_systemctl(user=present.parent != SYSTEM_UNITS), "enable", "--now", present.name], 300.0)
    return {}


def reload(directory: Path) -> dict[str, Any]:
    """Let the daemon take the file; returns when what is replaced instance by instance is done."""
    return {"said": _must(supervisor(directory, "reload"), 900.0)}


def upgrade(directory: Path, release: str) -> dict[str, Any]:
    """Replace the running daemon by the release, in place.  `current` is changed only after that."""
    command = _command(directory / "releases" / release)
    return {"said": _must([*command, "upgrade", "-f", str(directory / CONFIG), "--python", command[0]], 120.0)}


def down(directory: Path) -> dict[str, Any]:
    """Stop all services, and the daemon."""
    return {"said": _must(supervisor(directory, "down"), 900.0)}


def healthy(directory: Path, ready_within: float) -> dict[str, Any]:
    """Wait until `status` ends with 0; Failed with its last answer where that does not happen in time."""
    until = time.monotonic() + ready_within
    while True:
        found = status(directory)
        if found["code"] == 0:
            return {"status": found}
        if time.monotonic() >= until:
            raise Failed(f"after {ready_within:g} s: {found['said'] or 'status ended with {}'.format(found['code'])}")
        time.sleep(ASK_AGAIN)


def status(directory: Path) -> dict[str, Any]:
    """The exit code of `status`, and a summary of what it printed."""
    answer = _run(supervisor(directory, "status", "--json"), 30.0)
    said = answer.stderr.strip().removeprefix("supervisor: ")
    summary: dict[str, Any] = {"code": answer.returncode, "said": said[-LAST_WORDS:]}
    try:
        document = json.loads(answer.stdout)
        rows = [row for row in document["instances"] if row["goal"] == "up"]
        wrong = [row for row in rows if not row["ready"] and row["state"] != "exited"]
        summary["version"] = document["supervisor"]["version"]
    except (ValueError, KeyError, TypeError):
        return summary
    summary |= {"wanted": len(rows), "ready": len(rows) - len(wrong)}
    if wrong:
        named = ", ".join(f"{row['name']} {row['state']} ({row['cause']})" for row in wrong[:5])
        summary["said"] = named + (f" and {len(wrong) - 5} more" if len(wrong) > 5 else "")
    return summary


def supervisor(directory: Path, command: str, *arguments: str) -> list[str]:
    """A command of the release in force, for the daemon of the directory."""
    return [*_command(directory / "current"), command, "-f", str(directory / CONFIG), *arguments]


def _command(environment: Path) -> list[str]:
    return [str(environment / "bin/python"), "-P", "-m", "supervisor"]


def _former(directory: Path) -> Path:
    return directory / f"{CONFIG}.former"


def _present_unit(directory: Path) -> Path | None:
    """The unit of this directory that is installed."""
    if SYSTEMD_RUNS.is_dir():
        for user in (False, True):
            if (path := _unit_path(directory, user=user)).is_file():
                return path
    return None


def _unit_path(directory: Path, *, user: bool) -> Path:
    folder = Path.home() / ".config/systemd/user" if user else SYSTEM_UNITS
    return folder / f"supervisor-{str(directory).strip('/').replace('/', '-')}.service"


def _systemctl(*, user: bool) -> list[str]:
    return ["systemctl", "--user"] if user else ["systemctl"]


def _must(command: Sequence[str], within: float, more: Mapping[str, str] | None = None) -> str:
    """Run a program to its end, and return what it printed; Failed with its last words where it fails."""
    answer = _run(command, within, more)
    if answer.returncode:
        said = (answer.stderr.strip() or answer.stdout.strip()).removeprefix("supervisor: ")[-LAST_WORDS:]
        raise Failed(said or f"`{' '.join(command[:6])}` ended with {answer.returncode}")
    return answer.stdout.strip()


def _run(
    command: Sequence[str], within: float, more: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program with a limit of time.  Its output goes to files, so that a daemon that it leaves behind holds no
    pipe open."""
    environment = {**os.environ, **(more or {})}
    own = Path(f"/run/user/{os.geteuid()}")
    if "XDG_RUNTIME_DIR" not in environment and os.geteuid() != 0 and own.is_dir():
        environment["XDG_RUNTIME_DIR"] = str(own)  # as it is for a unit of the user
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            code = subprocess.run(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                timeout=within,
                env=environment,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            raise Failed(f"`{' '.join(command[:6])}` did not end within {within:g} s") from None
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
        return subprocess.CompletedProcess(list(command), code, *texts)


_FUNCTIONS = (look, prepare, build, activate, configure, put_back, unit, start, reload, upgrade, down, healthy)
_READING = ("look", "healthy")
TASKS: dict[str, Callable[..., dict[str, Any]]] = {task.__name__: task for task in _FUNCTIONS}


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Only one command changes a host at a time."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failed("another `supervisor fleet` is changing this host; run it again when that has ended") from None
        yield


def main(task: str, directory: str, arguments: Mapping[str, Any]) -> None:
    """Carry out one task and print its answer."""
    os.umask(0o022)
    place = Path.home() / directory
    try:
        with _alone(place) if task not in _READING else nullcontext():
            answer = TASKS[task](place, **arguments)
    except Failed as error:
        answer = {"error": str(error)}
    except OSError as error:
        answer = {"error": f"{error.filename or task}: {error.strerror}"}
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
