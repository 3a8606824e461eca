"""Checks a configuration against this machine: programs, directories, users, environment files, sandboxes.

Each question is asked once, however many services depend on the answer. ValueError says what is wrong; it is `Missing`
where only something of this machine is not there.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
import stat
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from supervisor.config.source.expand import parse_environment_file
from supervisor.config.source.trust import require_own_directory, require_trusted, script
from supervisor.config.units import quoted
from supervisor.core.text.nearest import did_you_mean

if TYPE_CHECKING:
    from supervisor.core.model.spec import SandboxSpec
    from supervisor.core.services.sandbox_view import Place

LARGEST_ENVIRONMENT = 1024 * 1024
"""Bytes; the kernel gives a program hardly more."""

ACCOUNT_VARIABLES = ("HOME", "USER", "LOGNAME", "SHELL")
"""Environment variables that come from the user database, as login(1) sets them."""


NOT_YET = 2**32 - 2
"""Stands for the number of a user or group that does not exist; no process is started with it."""


class Missing(ValueError):
    """This machine does not have it at present; a deploy, or a oneshot, may still bring it."""


class Account(NamedTuple):
    """The user and groups to run as; None leaves them unchanged."""

    user: int | None
    group: int | None
    extra_groups: tuple[int, ...] | None


class Host:
    """Answers questions about this machine.

    `env` is the environment that services inherit, `folder` the one from which relative paths start.
    """

    def __init__(self, env: Mapping[str, str], folder: Path) -> None:
        self._env, self.folder = env, folder
        self.directory = cache(self._directory)
        self.identity = cache(_identity)
        self.environment_file = cache(self._environment_file)
        self._executable = cache(_executable)
        self._require_trusted = cache(require_trusted)
        self.sandbox_refusal = cache(_sandbox_refusal)
        self.sandbox_view = cache(_sandbox_view)

    def require_program(self, word: str, directory: str, path: str | None) -> None:
        """Raise ValueError unless execvp would find `word` from `directory`, with the PATH `path` (None: the inherited
        one).
        """
        self.program(word, directory, path)

    def require_trusted(self, command: Sequence[str], directory: str, path: str | None) -> None:
        """Raise ValueError if anyone but root could change what root would run by this command."""
        self._require_trusted(self.program(command[0], directory, path))
        if word := script(command):
            self._require_trusted(Path(directory, word))

    def program(self, word: str, directory: str, path: str | None) -> Path:
        """The path at which `require_program` finds `word`."""
        return self._executable(word, directory, self._env.get("PATH", os.defpath) if path is None else path)

    def log_path(self, given: str) -> str:
        """The absolute path of a log. Raises ValueError where it cannot be written, or not safely."""
        path = Path(os.path.normpath(self.folder / given))
        if given.endswith("/"):
            raise ValueError(f"{given} is a directory; write the path of a file, for example {given}{{instance}}.log")
        if str(path).startswith(("/dev/", "/proc/")):
            raise ValueError(f"{path} is not a file on a disk; console = true prints lines on the daemon's stdout")
        if "{instance}" in str(path.parent):
            raise ValueError("only the name of the file can have {instance} in it, not its directory")
        if re.search(r"[{}]", path.name.replace("{instance}", "")):
            raise ValueError(f"{quoted(path.name)}: only {{instance}} is understood")
        status = _stat(path)
        if status is not None and not stat.S_ISREG(status.st_mode):
            raise ValueError(f"{path} is not a regular file")
        require_own_directory(path.parent)
        return str(path)

    def owner_of_file(self, key: str, given: str | int) -> int | None:
        """The number of the `key` (owner or group) that a log gets. Raises ValueError."""
        if key == "group":
            return group_to_give(given, "a log")
        account = _account(given)
        number = account.pw_uid if account else int(given)
        if os.geteuid() not in (0, number):
            raise ValueError("only root can give a log to another user; leave owner out, or run as root")
        return number

    def _directory(self, given: str) -> str:
        directory = self.folder / given
        status = _stat(directory)
        if status is None:
            siblings = _names(directory.parent)
            raise Missing(f"the directory {directory} does not exist{did_you_mean(directory.name, siblings)}")
        if not stat.S_ISDIR(status.st_mode):
            raise Missing(f"{directory} is not a directory")
        return str(directory)

    def account_variables(self, user: str | int | None) -> dict[str, str]:
        """ACCOUNT_VARIABLES of `user`; none for no user, or a number that is not in the user database.

        Raises ValueError for a name that is not in it."""
        account = None if user is None else _account(user)
        if account is None:
            return {}
        values = (account.pw_dir, account.pw_name, account.pw_name, account.pw_shell or "/bin/sh")
        return dict(zip(ACCOUNT_VARIABLES, values, strict=True))

    def _environment_file(self, given: str, required: bool) -> tuple[dict[str, str], list[str]]:
        """The variables of the file, and its errors."""
        path = self.folder / given
        try:
            if not required and not path.exists():
                return {}, []
            if not path.is_file():
                raise Missing(f"{path} is not a file" if path.exists() else f"{path} does not exist")
            with path.open("rb") as file:
                content = file.read(LARGEST_ENVIRONMENT + 1)
            if len(content) > LARGEST_ENVIRONMENT:
                raise ValueError(f"{path} is larger than 1 MiB")
            require_trusted(path)
            values, errors = parse_environment_file(content.decode().removeprefix("\ufeff"))
        except OSError as error:
            raise Missing(f"{path} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ValueError(f"{path} is not UTF-8") from None
        return values, [f"{path}:{line}: {message}" for line, message in errors]


def _sandbox_refusal(sandbox: SandboxSpec) -> str:
    """Why this host does not let a service have the sandbox; empty where it does."""
    from supervisor.adapters.processes.sandbox import refusal  # few services have one

    return refusal(sandbox)


def _sandbox_view(sandbox: SandboxSpec) -> tuple[Place, ...]:
    from supervisor.adapters.processes.sandbox import resolved

    return resolved(sandbox)


def _executable(word: str, directory: str, path: str) -> Path:
    """The path of a program. Raises ValueError if there is none that can be executed."""
    if "/" in word:
        if problem := _not_executable(Path(directory, word)):
            raise Missing(f"the program {Path(directory, word)} {problem}")
        return Path(directory, word)
    blocked = ""
    places = [Path(directory, place) for place in path.split(os.pathsep)]
    for place in places:
        problem = _not_executable(place / word)
        if not problem:
            return place / word
        if problem != _MISSING:
            blocked = f"; {place / word} {problem}"
    from supervisor.config.checks.shell_syntax import of_a_shell  # few programs are missing

    known = {name for place in places for name in _names(place)} if not blocked else set()
    advice = of_a_shell(word) or did_you_mean(word, known)
    raise Missing(f"the program {quoted(word)} is not on the PATH{blocked}{advice}")


_MISSING = "does not exist"


def _not_executable(program: Path) -> str:
    status = _stat(program)
    if status is None:
        return _MISSING
    if stat.S_ISDIR(status.st_mode):
        return "is a directory"
    if not stat.S_ISREG(status.st_mode):
        return "is not a regular file"
    return "" if os.access(program, os.X_OK) else f"is not executable (chmod +x {program})"


def _identity(user: str | int | None, group: str | int | None) -> Account:
    account = _account(user) if user is not None else None
    uid = account.pw_uid if account else user if isinstance(user, int) else None
    gid = _group(group) if group is not None else account.pw_gid if account else None
    if uid is not None and gid is None:
        raise ValueError(f"the user {user} is not in the user database, so `group` must be set too")
    if os.geteuid() != 0:
        if uid not in (None, os.geteuid()) or gid not in (None, os.getegid()):
            raise ValueError("only root can start a service as another user; leave user and group out, or run as root")
        return Account(None, None, None)
    if account and gid is not None:
        return Account(uid, gid, tuple(sorted(os.getgrouplist(account.pw_name, gid))))
    return Account(uid, gid, None if uid is None else ())


def group_to_give(group: str | int, what: str = "a socket") -> int:
    """The number of a group to which the daemon may give its files. Raises ValueError."""
    number = _group(group)
    if os.geteuid() != 0 and number not in (os.getegid(), *os.getgroups()):
        raise ValueError(f"this user is not a member of the group {group}; only root can give {what} to it")
    return number


def _account(user: str | int) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwuid(user) if isinstance(user, int) else pwd.getpwnam(user)
    except KeyError:
        if isinstance(user, int):
            return None
        known = did_you_mean(user, [entry.pw_name for entry in pwd.getpwall()])
        raise Missing(f"the user {quoted(user)} does not exist{known}") from None


def _group(group: str | int) -> int:
    if isinstance(group, int):
        return group
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        known = did_you_mean(group, [entry.gr_name for entry in grp.getgrall()])
        raise Missing(f"the group {quoted(group)} does not exist{known}") from None


def _stat(path: Path) -> os.stat_result | None:
    """The file's status; None if it does not exist. Raises ValueError if it cannot be examined."""
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise Missing(f"{path} cannot be accessed: {error.strerror}") from None


def _names(directory: Path) -> list[str]:
    try:
        return [entry.name for entry in directory.iterdir()]
    except OSError:
        return []
