"""The sandbox of a service: mounts of its own, made by the child between its fork and its exec.

`prepare` looks at the paths and decides everything before; `enter` only makes system calls (fork_exec.py says why).
Trees of the host that stay visible are taken (open_tree) before anything is hidden or made read-only, and put in their
places from the outer to the inner ones, so that each keeps the flags that its mounts have on the host.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

from supervisor.adapters.linux import namespaces
from supervisor.core.model.spec import SandboxSpec
from supervisor.core.services.sandbox_view import CLOSED, Place, View, arranged, covering, places

DEVICES = (
    "null", "zero", "full", "random", "urandom", "tty", "shm", "mqueue", "hugepages", "log",
    "fd", "stdin", "stdout", "stderr", "core",
)  # fmt: skip
"""What a private /dev has of the host's, where that has it; links are copied."""
DEVICE_CAPABILITIES = (17, 27)
"""CAP_SYS_RAWIO and CAP_MKNOD, with which root could reach the hidden devices."""

_QUIET = namespaces.NOSUID | namespaces.NODEV | namespaces.NOEXEC
_LONGEST_ERROR = 4096


class _Tree(NamedTuple):
    """A tree of the host, to be mounted at `path`."""

    source: bytes
    read_only: bool
    path: bytes
    parents: tuple[bytes, ...] | None
    """Directories to make first, and then a mount point; None where that exists."""


class _New(NamedTuple):
    """A new file system of a kind that lies in memory, to be mounted at `path`; `parents` as in `_Tree`."""

    kind: bytes
    path: bytes
    options: bytes
    flags: int
    parents: tuple[bytes, ...] | None


class _Link(NamedTuple):
    path: bytes
    target: bytes


_TERMINALS = (
    _New(b"devpts", b"/dev/pts", b"mode=0620,ptmxmode=0666", namespaces.NOSUID | namespaces.NOEXEC, ()),
    _Link(b"/dev/ptmx", b"pts/ptmx"),
)
"""Terminals are new ones, because a /dev/ptmx that is mounted elsewhere does not find its /dev/pts."""


class Sandbox(NamedTuple):
    """All that the child needs to enter its sandbox, computed before."""

    id_maps: tuple[bytes, bytes] | None
    """The maps of users and groups where a user namespace is needed, because the daemon is not root."""
    all_read_only: bool
    steps: tuple[_Tree | _New | _Link, ...]
    sealed: tuple[bytes, ...]
    """What becomes read-only when its mount points are made."""


def touched(sandbox: SandboxSpec) -> list[str]:
    """Paths whose file systems must answer while the sandbox is prepared and entered."""
    return [place.path for place in places(sandbox)]


def descriptors(sandbox: SandboxSpec) -> int:
    """At most this many descriptors are open while the sandbox is entered."""
    return len(places(sandbox)) + len(DEVICES)


def resolved(sandbox: SandboxSpec, needed: Iterable[str] = ()) -> tuple[Place, ...]:
    """The places of the sandbox on this host: links are followed, and what is optional and missing is left out."""
    found = [place._replace(path=os.path.realpath(place.path)) for place in places(sandbox)]
    there = [place for place in found if place.required or os.path.exists(place.path)]  # noqa: PTH110
    return arranged(there, map(os.path.realpath, needed))


def prepare(sandbox: SandboxSpec, needed: Iterable[str] = ()) -> Sandbox:
    """Look at this host and decide what is mounted where.  `needed`: directories that stay visible."""
    found = resolved(sandbox, needed)
    steps: list[_Tree | _New | _Link] = []
    sealed = []
    for place in found:
        path = os.fsencode(place.path)
        if place.view in (View.READ_ONLY, View.AS_IS):
            if place.path != "/":
                steps.append(_Tree(path, place.view is View.READ_ONLY, path, _parents(place, found)))
        elif os.path.isdir(place.path) or not os.path.exists(place.path):  # noqa: PTH110, PTH112
            steps.append(_New(b"tmpfs", path, *_options(place, found), _parents(place, found)))
            if place.view is not View.PRIVATE:
                sealed.append(path)
            if place.view is View.DEVICES:
                steps += [*_TERMINALS, *_devices(found)]
        else:
            steps.append(_Tree(os.devnull.encode(), True, path, None))
    euid, egid = os.geteuid(), os.getegid()
    return Sandbox(
        id_maps=None if euid == 0 else (b"%d %d 1" % (euid, euid), b"%d %d 1" % (egid, egid)),
        all_read_only=Place("/", View.READ_ONLY, required=True) in found,
        steps=tuple(steps),
        sealed=tuple(sealed),
    )


def _parents(place: Place, found: Sequence[Place]) -> tuple[bytes, ...] | None:
    """Directories that lead to a place within an empty one; None where the place exists already."""
    outer = covering([other for other in found if other is not place], place.path)
    if outer is None or outer.view not in CLOSED:
        return None
    names = place.path.removeprefix(outer.path).strip("/").split("/")[:-1]
    return tuple(os.fsencode("/".join([outer.path, *names[: n + 1]])) for n in range(len(names)))


def _options(place: Place, found: Sequence[Place]) -> tuple[bytes, int]:
    """Options and flags of the file system in memory for a place."""
    match place.view:
        case View.PRIVATE:
            return b"mode=1777,size=25%", namespaces.NOSUID | namespaces.NODEV
        case View.HIDDEN:
            passed = any(other is not place and covering([place], other.path) for other in found)
            return b"mode=0711" if passed else b"mode=0000", _QUIET
        case _:
            return b"mode=0755", _QUIET


def _devices(found: Sequence[Place]) -> Iterator[_Tree | _Link]:
    asked = {place.path for place in found}
    for path in (f"/dev/{name}" for name in DEVICES):
        if os.path.islink(path):  # noqa: PTH114
            yield _Link(os.fsencode(path), os.fsencode(os.readlink(path)))  # noqa: PTH115
        elif path not in asked and os.path.exists(path):  # noqa: PTH110
            yield _Tree(os.fsencode(path), False, os.fsencode(path), ())


def enter(sandbox: Sandbox) -> Iterator[bytes]:
    """Enter the sandbox, step by step: yields what the next step is about, for the message if it fails (OSError)."""
    trees = {}
    umask = os.umask(0)
    yield b"sandbox: namespace"
    if sandbox.id_maps is None:
        namespaces.leave_mount_namespace()
    else:
        namespaces.leave_user_and_mount_namespace(*sandbox.id_maps)
    for step in sandbox.steps:
        if isinstance(step, _Tree):
            yield b"sandbox: open " + step.source
            trees[step.path] = namespaces.open_tree(step.source)
            if step.read_only:
                namespaces.tree_read_only(trees[step.path])
    if sandbox.all_read_only:
        yield b"sandbox: make / read-only"
        namespaces.all_read_only(b"/")
    for step in sandbox.steps:
        yield b"sandbox: mount " + step.path
        if isinstance(step, _New):
            if step.path == b"/":  # a link leads there; the process would stay below what is mounted
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
            if step.parents is not None:
                _make_mount_point(step.path, step.parents, directory=True)
            namespaces.mount_new(step.kind, step.path, step.options, step.flags)
        elif isinstance(step, _Link):
            os.symlink(step.target, step.path)  # noqa: PTH211
        else:
            tree = trees[step.path]
            if step.parents is not None:
                _make_mount_point(step.path, step.parents, directory=stat.S_ISDIR(os.fstat(tree).st_mode))
            namespaces.place_tree(tree, step.path)
            os.close(tree)
    for path in sandbox.sealed:
        yield b"sandbox: make read-only " + path
        namespaces.read_only(path)
    os.umask(umask)


def _make_mount_point(path: bytes, parents: Sequence[bytes], *, directory: bool) -> None:
    for parent in parents:
        with suppress(FileExistsError):
            os.mkdir(parent, 0o755)  # noqa: PTH102
    if directory:
        os.mkdir(path, 0o755)  # noqa: PTH102
    else:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))


def refusal(sandbox: SandboxSpec) -> str:
    """Why this host does not let a service have this sandbox; empty where it does.  A short-lived child tries it."""
    prepared = prepare(sandbox)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        subject = b""
        try:
            for subject in enter(prepared):  # noqa: B007 - told below, where the step fails
                pass
        except OSError as error:
            os.write(writer, b"%d %s" % (error.errno or errno.EINVAL, subject))
        finally:
            os._exit(0)
    os.close(writer)
    failure = os.read(reader, _LONGEST_ERROR)
    os.close(reader)
    os.waitpid(pid, 0)
    if not failure:
        return ""
    number, _, subject = failure.partition(b" ")
    seen = f"{os.fsdecode(subject).removeprefix('sandbox: ')}: {os.strerror(int(number))}"
    if int(number) == errno.ENOSYS:
        return f"needs Linux 5.12, or its system calls are filtered here ({seen})"
    if int(number) not in (errno.EPERM, errno.EACCES, errno.ENOSPC, errno.EUSERS, errno.EINVAL):
        return f"cannot be made here ({seen})"
    if os.geteuid() == 0:
        return f"needs CAP_SYS_ADMIN, which this host does not give to the daemon ({seen})"
    return f"needs root, or user namespaces, which this host refuses ({seen})"
