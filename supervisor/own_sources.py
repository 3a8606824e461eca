"""The modules that a daemon has not imported yet, kept for the time after their files were replaced.

A daemon runs for months, and it imports some modules when they are first needed: what examines a suspect, reads a log,
upgrades.  `pip install --upgrade` or `git checkout` may have replaced their files by then, and a new module does not
fit the old ones in memory.  So `keep` copies their sources into a file without a name, which costs the daemon no memory
of its own, and goes with it.  A module whose file is still the same is imported as usual; in place of one that was
replaced or is gone, the kept source is.

A child that a daemon starts runs kept sources, too; the compiler is not started then (`replaced`).  This module imports
nothing of ours, because such a child runs its text before anything else (adapters/processes/apart.py).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, NamedTuple

REPLACED = "the files of the supervisor were replaced since this daemon started: run `supervisor upgrade`"
"""Why what another version would have to do is not done, and what helps."""

_IMPORTED = ("adapters", "core", "daemon")
"""The packages of which a daemon imports modules."""
_COMPILER = "config"
"""That of the configuration's compiler, which runs in a child and is not kept."""
_OF_COMMANDS = "importers"
"""A package within it that only commands import."""
_OF_THE_AGENT = "supervisor.adapters.zookeeper"
"""What only the agent of a cluster imports."""
_ROOM = 1 << 21  # bytes: all sources together have less
_KEPT_IN = "/var/tmp"
"""A directory on a disk: what lies in /tmp is often in memory."""
OF_CHILDREN = frozenset({
    "supervisor", "supervisor.own_sources",
    "supervisor.adapters", "supervisor.adapters.hooks", "supervisor.adapters.hooks.runner",
    "supervisor.adapters.linux", "supervisor.adapters.linux.capabilities", "supervisor.adapters.linux.mounts",
    "supervisor.adapters.linux.namespaces",
    "supervisor.adapters.processes", "supervisor.adapters.processes.become", "supervisor.adapters.processes.sandbox",
    "supervisor.core", "supervisor.core.model", "supervisor.core.model.cluster_spec", "supervisor.core.model.plain",
    "supervisor.core.model.spec", "supervisor.core.model.value", "supervisor.core.services",
    "supervisor.core.services.sandbox_view",
})  # fmt: skip
"""What children import that run kept sources.  It is kept also where the daemon has imported it."""

Sources = Mapping[str, tuple[str, str]]
"""The path and the text of modules, by name."""


class _Finder:
    """Imports modules from `sources`, in `sys.meta_path` before the usual finders."""

    def __init__(self, sources: Sources) -> None:
        self.sources = sources

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> ModuleSpec | None:
        """None: left to the next finder."""
        if name not in self.sources:
            return None
        path = self.sources[name][0]
        loader: Any = self  # the protocol of a loader has methods that only old versions of Python need
        spec = ModuleSpec(name, loader, origin=path, is_package=path.endswith("/__init__.py"))
        spec.has_location = True
        if spec.submodule_search_locations is not None:
            spec.submodule_search_locations.append(os.path.dirname(path))  # noqa: PTH120 - pathlib costs
        return spec

    def create_module(self, _spec: ModuleSpec) -> None:
        """As usual."""

    def exec_module(self, module: ModuleType) -> None:
        path, text = self.sources[module.__name__]
        exec(compile(text, path, "exec", dont_inherit=True), module.__dict__)


class _Source(NamedTuple):
    """A kept source: its path, what the file was like (`_mark`), and where its text is in the file of all."""

    path: str
    mark: int
    offset: int
    size: int


class _Kept:
    """The kept sources, and how the files were at that time.  Finds the modules whose file is another one now."""

    def __init__(self, fd: int, known: Mapping[str, _Source], whole: int) -> None:
        self._fd, self._known, self.whole = fd, known, whole
        self._finder: _Finder | None = None

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> ModuleSpec | None:
        """None: left to the next finder."""
        known = self._known.get(name)
        return self.finder.find_spec(name) if known is not None and _mark(known.path) != known.mark else None

    def for_children(self) -> Sources:
        """What children import, where a file of that was replaced; else empty.  Few files are looked at: hooks come in
        numbers, and the event loop waits meanwhile."""
        kept = [name for name in OF_CHILDREN if name in self._known]
        if all(_mark(self._known[name].path) == self._known[name].mark for name in kept):
            return {}
        return {name: self.finder.sources[name] for name in kept}

    @property
    def finder(self) -> _Finder:
        """Read when it is first needed, which seldom happens."""
        if self._finder is None:
            self._finder = _Finder({name: (known.path, self._text(known)) for name, known in self._known.items()})
        return self._finder

    def _text(self, known: _Source) -> str:
        return os.pread(self._fd, known.size, known.offset).decode()

    def close(self) -> None:
        os.close(self._fd)


_kept: _Kept | None = None


def keep() -> None:
    """Keep the sources of what is not imported yet.  A file that cannot be read is left out."""
    global _kept
    known: dict[str, _Source] = {}
    whole, end, fd = [], 0, _nameless_file()
    for name, path in _files():
        mark = _mark(path)
        whole.append(mark)
        if name in OF_CHILDREN or (name not in sys.modules and _may_be_imported(name)):
            with suppress(OSError):
                size = _copy(path, fd, end)
                known[name] = _Source(path, mark, end, size)
                end += size
    os.ftruncate(fd, end)
    if _kept is not None:
        sys.meta_path.remove(_kept)
        _kept.close()
    _kept = _Kept(fd, known, hash(tuple(whole)))
    sys.meta_path.insert(0, _kept)


def _nameless_file() -> int:
    """A descriptor of a file that nobody else can open; in memory, where the disk takes none."""
    with suppress(OSError):
        fd = os.open(_KEPT_IN, os.O_TMPFILE | os.O_RDWR | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(fd, 0, _ROOM)
        except OSError:
            os.close(fd)
            raise
        return fd
    return os.memfd_create("sources", os.MFD_CLOEXEC)


def _copy(path: str, fd: int, end: int) -> int:
    """Copy the file to `end` of that of `fd`, inside the kernel; the number of bytes."""
    source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.lseek(fd, end, os.SEEK_SET)
        size = 0
        while copied := os.sendfile(fd, source, size, _ROOM):
            size += copied
        return size
    finally:
        os.close(source)


def replaced() -> bool:
    """Whether a file of the daemon or of the compiler is another one than at the time of `keep`."""
    return _kept is not None and _kept.whole != hash(tuple(_mark(path) for _, path in _files()))


def main_module(name: str) -> list[str]:
    """The interpreter's arguments for a child that runs this module, which imports nothing of ours."""
    sources = _kept.for_children() if _kept is not None else {}
    return ["-c", sources[name][1]] if name in sources else ["-m", name]


def of_children() -> tuple[str, Sources]:
    """For a child that imports modules of ours: code that it runs first, and sources with which it calls `serve`.

    The sources are empty while no file of that was replaced."""
    sources = _kept.for_children() if _kept is not None else {}
    return (sources[__name__][1], sources) if __name__ in sources else ("", {})


def serve(sources: Sources) -> None:
    """In a child: import these modules from these sources."""
    sys.meta_path.insert(0, _Finder(sources))


def _files() -> Iterator[tuple[str, str]]:
    """The name and the path of each module that daemon and compiler may import, in the same order each time."""
    root = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100,PTH120
    yield from _in(root, "supervisor", deep=False)
    for package in (*_IMPORTED, _COMPILER):
        yield from _in(f"{root}/{package}", f"supervisor.{package}", deep=True)


def _in(directory: str, package: str, *, deep: bool) -> Iterator[tuple[str, str]]:
    try:
        with os.scandir(directory) as found:
            entries = sorted((entry.name, entry.path, entry.is_dir()) for entry in found)
    except OSError:  # it is gone
        return
    for name, path, is_directory in entries:
        if is_directory:
            if deep and name not in ("__pycache__", _OF_COMMANDS):
                yield from _in(path, f"{package}.{name}", deep=True)
        elif name == "__init__.py":
            yield package, path
        elif name.endswith(".py"):
            yield f"{package}.{name[:-3]}", path


def _may_be_imported(name: str) -> bool:
    parts = name.split(".")
    return len(parts) > 1 and parts[1] in _IMPORTED and not f"{name}.".startswith(f"{_OF_THE_AGENT}.")


def _mark(path: str) -> int:
    """What tells a file from the one that had its path before, as from one that was edited; 0 where there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116 - pathlib costs
    except OSError:
        return 0
    return hash((found.st_mtime_ns, found.st_size, found.st_ino))
