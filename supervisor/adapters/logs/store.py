"""Output capture for all instances: holds their streams and limits the number of open log files.

An idle instance costs one descriptor, its FIFO. Log files of instances that write stay open, up to a fixed number.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.linux.directories import open_log_directory
from supervisor.adapters.linux.mounts import mounts
from supervisor.adapters.logs import fifo, place, rotation
from supervisor.adapters.logs.compressor import Compressor
from supervisor.adapters.logs.console import Console
from supervisor.adapters.logs.lines import MAX_LINE
from supervisor.adapters.logs.place import Place
from supervisor.adapters.logs.segment import Segment
from supervisor.adapters.logs.stream import Stream
from supervisor.adapters.logs.writer import Writer
from supervisor.core.model.output_names import instance_of, stderr_of
from supervisor.core.model.spec import ConsoleMode, LogSpec
from supervisor.errors import OperationFailed

if TYPE_CHECKING:
    from supervisor.adapters.logs.part import Part
    from supervisor.adapters.logs.shared import AnyWriter, SharedLog, SharedWriter
    from supervisor.adapters.logs.timestamp_spool import TimestampSpool

_OPEN_FILES = 128
_LOOKING = 0.01  # seconds between two looks at a pipe that cannot be watched
_NO_LIMIT = 1 << 62  # bytes


class LogStore:
    """The output streams of all instances. `on_problem(instance, message)` is called for problems worth reporting."""

    def __init__(
        self,
        loop: EventLoop,
        directory: str,
        fifo_directory: str,
        on_problem: Callable[[str, str], None],
        inherited: dict[str, int] | None = None,
        console: Console | None = None,
    ) -> None:
        """`directory` holds the log files, `fifo_directory` the pipes. Raises OperationFailed when one cannot be made.

        `console` prints the lines of instances whose spec asks for it.
        `inherited`: descriptors of pipes, by instance, that were held open while no daemon ran.
        """
        self.directory = directory
        self._on_problem = on_problem
        self._fifo_directory = fifo_directory
        self._loop = loop
        self._streams: dict[str, Stream] = {}
        self._collecting: set[Stream] = set()  # their pipes are not watched at present
        self._inherited = inherited or {}
        self._in_use: dict[str, int] = {}
        self._writing: dict[AnyWriter, None] = {}  # writers whose files are open, the oldest first
        self._shared: dict[str, SharedLog] = {}  # by path
        try:
            self._dir_fd = _open_directory(directory, 0o750)
            self._fifo_dir_fd = _open_directory(fifo_directory, 0o700)
            os.fchmod(self._fifo_dir_fd, 0o700)  # see fifo.py; fails if the directory belongs to another user
        except OSError as error:
            raise OperationFailed(
                f"{error.filename}: {error.strerror}", "output cannot be captured without it"
            ) from None
        self._looked = False
        self._untidy: set[str] = set()  # instances whose files may have to be put in order
        self._left_pipes: set[str] = set()  # by an earlier daemon
        self._compressor = Compressor(loop, self.problem)
        self._console = console
        self._printed: dict[str, tuple[ConsoleMode, Callable[[], None]]] = {}
        self._elsewhere: dict[str, int] = {}  # directory of a log.path → its descriptor
        self._not_given: set[str] = set()  # instances whose log has another owner or mode than the spec's

    def open(self, instance: str, spec: LogSpec) -> Stream:
        """The stream of `instance`, kept as `spec` says from now on. Raises OperationFailed when no pipe can be opened.

        Output that a child wrote while no daemon ran is still in the pipe, and is read first. Its standard error has a
        stream of its own where the spec says so, and where one is left: a process may still write to it.
        """
        if not self._looked:
            self._look()
        stream = self._streams.get(instance)
        new = stream is None
        stream = self._open(instance, spec)
        name = stderr_of(instance)
        if stream.errors is not None:
            self._open(name, _of_stderr(spec))
        elif spec.stderr is not None or (new and self._is_left(name)):
            try:
                stream.join(self._open(name, _of_stderr(spec)))
            except OperationFailed as error:  # no descriptor is free
                self.problem(instance, f"its stderr is kept with its stdout until it starts again: {error.message}")
        return stream

    def _look(self) -> None:
        """See what an earlier daemon left: once for all instances, because most have nothing there."""
        try:
            self._untidy = _untidy(os.listdir(self._dir_fd))  # noqa: PTH208
            self._left_pipes = set(os.listdir(self._fifo_dir_fd))  # noqa: PTH208
        except OSError as error:
            raise OperationFailed(f"{self.directory} cannot be listed: {error.strerror}") from None
        self._looked = True

    def _is_left(self, name: str) -> bool:
        return name in self._inherited or name in self._in_use or name in self._left_pipes

    def problem(self, name: str, message: str) -> None:
        """See WriterHost."""
        self._on_problem(instance_of(name), message)

    def _open(self, instance: str, spec: LogSpec) -> Stream:
        """See `open`; one stream alone."""
        stream = self._streams.get(instance)
        if stream is not None:
            known = stream.writer.spec
            if (spec is not known and spec != known) or self._is_shared(instance, spec) is not _shares(stream):
                self._change(stream, spec)
            return stream
        in_use = self._in_use.pop(instance, None)
        fd = self._open_fifo(instance) if in_use is None else in_use
        writer = self._writer(instance, spec)
        held = self._inherited.pop(instance, None)
        if held is not None:
            if not os.path.samestat(os.fstat(held), os.fstat(fd)):  # the name leads to another pipe now
                Stream(self, held, writer).drain()
            os.close(held)
        stream = self._streams[instance] = Stream(self, fd, writer)
        self.listen(stream)
        self._print(stream)
        return stream

    def stream(self, instance: str) -> Stream | None:
        """The stream of `instance`, if it is open."""
        return self._streams.get(instance)

    def open_instances(self) -> list[str]:
        """The instances whose streams are open."""
        return [name for name in self._streams if instance_of(name) == name]

    def _change(self, stream: Stream, spec: LogSpec) -> None:
        """Keep the output of `stream` as `spec` says from now on."""
        writer = stream.writer
        if spec.path != writer.spec.path or self._is_shared(writer.instance, spec) is not _shares(stream):
            stream.drain()
            with suppress(OSError):  # it stays in the spool, where a log at the old place would find it
                writer.settle()
            self._leave(writer)
            stream.writer = self._writer(writer.instance, spec, after=writer.sequence)
            stream.writer.cut = writer.cut
        else:
            writer.spec = spec
            of_file = writer if isinstance(writer, Writer) else writer.log.writer
            of_file.spec = spec if of_file is writer else _of_shared(spec)
            self._shut(writer)
            self._shut(of_file)
            self._tidy(of_file, recover=False)
        self._print(stream)

    def _writer(self, instance: str, spec: LogSpec, after: int = 0) -> AnyWriter:
        """The writer of a stream, in whose files everything is in order. `after`: see Segment."""
        path, found = self._place(instance, spec)
        untidy = path is not None or self._may_have_files(instance)
        if path is None or not self._is_shared(instance, spec):
            writer = Writer(self, instance, spec, found)
            writer.sequence = after
            if untidy:
                self._tidy(writer, recover=True)
            return writer
        from supervisor.adapters.logs.part import part_name
        from supervisor.adapters.logs.shared import SharedLog, SharedWriter

        log = self._shared.get(path)
        if log is None:
            log = self._shared[path] = SharedLog(Writer(self, instance, _of_shared(spec), found))
            self._tidy(log.writer, recover=True)
            self._recover_parts(log, path, spec)
        log.members.add(instance)
        log.writer.sequence = max(log.writer.sequence, after)
        shared = SharedWriter(self, instance, spec, log)
        if rotation.exists(self._dir_fd, part_name(instance)):
            with suppress(OSError):  # the next write fails too, and reports it
                shared.recover()
        return shared

    def _may_have_files(self, instance: str) -> bool:
        """Whether there may be other files than a log and its index."""
        return instance in self._untidy or instance in self._streams

    def _is_shared(self, instance: str, spec: LogSpec) -> bool:
        """Several streams write the log, by their specs or because one that is removed still ends."""
        log = self._shared.get(spec.path) if spec.path is not None else None
        return spec.path_shared or (log is not None and not log.members <= {instance})

    def _recover_parts(self, log: SharedLog, path: str, spec: LogSpec) -> None:
        """Write the lines that a killed daemon left; what it was just writing comes first, at the end of the file."""
        from supervisor.adapters.logs.part import part_name
        from supervisor.adapters.logs.shared import SharedWriter

        with suppress(OSError):  # what cannot be written stays
            names = [n for n in place.sharers(self._dir_fd, path) if rotation.exists(self._dir_fd, part_name(n))]
            writers = [SharedWriter(self, name, spec, log) for name in names]
            for writer in sorted(writers, key=SharedWriter.left_at, reverse=True):
                with suppress(OSError):
                    writer.recover()
                self._shut(writer)

    def _leave(self, writer: AnyWriter) -> None:
        """Close the files of a writer; those of a shared log stay open for the others."""
        self._shut(writer)
        if not isinstance(writer, Writer):
            writer.log.members.discard(writer.instance)
            if not writer.log.members:
                self._shut(writer.log.writer)
                self._shared = {path: log for path, log in self._shared.items() if log is not writer.log}

    def place(self, instance: str) -> Place:
        """See WriterHost."""
        return Place(self._dir_fd, rotation.log_name(instance))

    def _place(self, instance: str, spec: LogSpec) -> tuple[str | None, Place | None]:
        """The path and place that `spec` names; None if it names none, or the log cannot be there.  Then the log is in
        the state directory, so that no output is lost."""
        path = None if spec.path is None else spec.path.replace(place.PLACEHOLDER, instance_of(instance))
        found = None
        try:
            if path is not None:
                directory, _, name = path.rpartition("/")
                mount = mounts().remote(directory)
                if mount is not None:
                    raise OSError(errno.ENOTSUP, f"{mount} is a file system that may not answer")
                if directory not in self._elsewhere:
                    self._elsewhere[directory] = open_log_directory(directory)
                found = Place(self._elsewhere[directory], name)
                rotation.require_plain(*found)
        except OSError as error:
            self.problem(
                instance, f"the log cannot be {path} and is kept in {self.directory} instead: {error.strerror}"
            )
            found = path = None
        if spec.path is None and not self._may_have_files(instance):
            return path, found
        with suppress(OSError):  # a full disk: only readers that do not ask the daemon miss the log
            place.note(self._dir_fd, instance, path, shared=path is not None and self._is_shared(instance, spec))
        return path, found

    def _print(self, stream: Stream) -> None:
        """Begin or end to print the lines of `stream` on stdout."""
        instance, wanted = stream.writer.instance, stream.writer.spec.console
        mode, end = self._printed.get(instance, (ConsoleMode.NO, None))
        if mode is wanted or self._console is None:
            return
        if end is not None:
            end()
            del self._printed[instance]
        if wanted is not ConsoleMode.NO:
            printer = self._console.printer(instance, raw=wanted is ConsoleMode.RAW)
            self._printed[instance] = wanted, stream.subscribe(printer)

    def reach(self, instance: str, pid: int) -> None:
        """Find the pipe of `pid`, the live main process of an earlier daemon, if its name was removed. Call before
        `open`.

        The pipe is opened through the process's own descriptors, so that its output still has a reader.
        """
        for fd in (1, 2):
            path = f"/proc/{pid}/fd/{fd}"
            with suppress(OSError):
                target = os.readlink(path)  # noqa: PTH115
                for name in (instance, stderr_of(instance)):
                    if name not in self._in_use and target == f"{self._fifo_directory}/{name} (deleted)":
                        self._in_use[name] = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def descriptors(self) -> dict[str, int]:
        """The pipes of each instance, for the next daemon or for a process that holds them until it starts."""
        return {instance: stream.fd for instance, stream in self._streams.items()}

    def remove(self, instance: str) -> None:
        """Close the stream of a removed instance; its pipe is deleted, its log files stay."""
        stream = self._streams.get(instance)
        if stream is not None:
            stream.finish_line()
            for name in (instance, stderr_of(instance)) if stream.errors is not None else (instance,):
                self._close_stream(name)
                with suppress(OSError):
                    os.unlink(name, dir_fd=self._fifo_dir_fd)

    def _close_stream(self, name: str) -> None:
        stream = self._streams.pop(name)
        stream.errors = None  # it is closed by itself
        self._left_pipes.discard(name)
        self._untidy.add(name)
        self._release(stream)
        self._printed.pop(name, None)

    def close(self) -> None:
        """Close all files. Pipes stay on disk, so that the next daemon continues where this one ended."""
        for name in list(self._streams):
            self._close_stream(name)
        self._compressor.close()
        for fd in (self._dir_fd, *self._elsewhere.values()):
            os.close(fd)
        os.close(self._fifo_dir_fd)

    def open_for_child(self, stream: Stream) -> int:
        """See Stream.child_fd."""
        name = stream.writer.instance
        try:
            fd = fifo.open_for_child(self._fifo_dir_fd, name, stream.fd)
            if fd is None:
                # The name was removed from the runtime directory: without it the next daemon would not find the pipe.
                new_fd = self._open_fifo(name)
                stream.drain()
                self._loop.unregister(stream.fd)
                os.close(stream.fd)
                stream.read_from(new_fd)
                if stream not in self._collecting:
                    self.listen(stream)
                fd = fifo.open_for_child(self._fifo_dir_fd, name, stream.fd)
        except OSError as error:
            raise OperationFailed(f"{name}: no pipe for its output: {error.strerror}") from None
        assert fd is not None
        return fd

    def collect(self, stream: Stream, until: float) -> None:
        """See StreamHost.

        The pipe is not registered meanwhile: else each write to it would call epoll."""

        def collected() -> None:
            if self._streams.get(stream.writer.instance) is stream:
                stream.collected()

        if stream not in self._collecting:
            self._collecting.add(stream)
            self._loop.unregister(stream.fd)
        self._loop.call_at(until, collected)

    def listen(self, stream: Stream) -> None:
        """See StreamHost."""
        try:
            self._loop.register(stream.fd, stream)
        except OSError:  # the user's share of watches is used up: it is looked at again and again instead
            self.collect(stream, self._loop.now() + _LOOKING)
        else:
            self._collecting.discard(stream)

    def open_segment(self, writer: Writer) -> Segment:
        """See WriterHost."""
        self._make_room()
        limit = writer.spec.max_size if writer.spec.rotate else _NO_LIMIT
        try:
            segment = Segment(*writer.place, limit, writer.sequence)
        except FileNotFoundError:  # the directory itself was removed
            self._recreate(writer.place)
            segment = Segment(*writer.place, limit, writer.sequence)
        self._give(segment, writer)
        self._writing[writer] = None
        return segment

    def _make_room(self, kept: Writer | None = None) -> None:
        """Close the files that were opened first, except those of `kept`, until one more may be opened."""
        while len(self._writing) >= _OPEN_FILES:
            self._shut(next(writer for writer in self._writing if writer is not kept))

    def open_part(self, writer: SharedWriter) -> Part:
        """See PartHost."""
        self._make_room(writer.log.writer)
        from supervisor.adapters.logs.part import Part

        part = Part(self._dir_fd, writer.instance)
        self._writing[writer] = None
        return part

    def _give(self, segment: Segment, writer: Writer) -> None:
        """Give the file the owner, group and mode of the spec."""
        spec = writer.spec
        try:
            segment.give(spec.mode, *(-1 if number is None else number for number in (spec.owner, spec.group)))
            self._not_given.discard(writer.instance)
        except OSError as error:
            if writer.instance not in self._not_given:
                self._not_given.add(writer.instance)
                self.problem(writer.instance, f"its log cannot have the owner or mode that is set: {error.strerror}")

    def _recreate(self, place: Place) -> None:
        """Make the directory of a log again, and let the descriptor lead to it."""
        for path, fd in self._elsewhere.items():
            if fd == place.dir_fd:
                new_fd = open_log_directory(path)
                os.dup2(new_fd, fd, inheritable=False)
                os.close(new_fd)
                return
        _recreate_directory(self.directory, self._dir_fd, 0o750)

    def open_spool(self, writer: Writer) -> TimestampSpool:
        """See WriterHost."""
        from supervisor.adapters.logs.timestamp_spool import TimestampSpool

        return TimestampSpool(*writer.place)

    def rotated(self, writer: Writer) -> None:
        """See WriterHost."""
        if writer.spec.compress and writer.spec.rotate:
            self._compressor.submit(writer.instance, writer.place, writer.spec.keep)

    def tail(self, instance: str, n: int) -> list[str]:
        """See StreamHost."""
        from supervisor.adapters.logs import reader

        stream = self._streams.get(instance)
        try:
            found = [text for _, text in reader.read(self.directory, instance, lines=n, unfinished=True).lines]
            if stream is not None and _shares(stream):  # what is unfinished is not in the log
                begun = stream.writer.unfinished_line(MAX_LINE)
                found = [*found, begun.decode(errors="replace")][-n:] if begun else found
            return found
        except OSError:
            return []

    def _tidy(self, writer: Writer, *, recover: bool) -> None:
        """Bring the files in line with the spec. With `recover`, first finish what a killed daemon had begun."""
        dir_fd, log = writer.place
        try:
            if recover:
                rotation.recover(dir_fd, log, writer.spec.keep if writer.spec.rotate else 0)
                if rotation.exists(dir_fd, f"{log}{place.SPOOL}"):
                    writer.recover()
            if writer.spec.rotate:
                rotation.forget_beyond(dir_fd, log, writer.spec.keep)
        except OSError as error:
            self.problem(writer.instance, f"the log files cannot be put in order: {error.strerror}")
        self.rotated(writer)

    def _shut(self, writer: AnyWriter) -> None:
        self._writing.pop(writer, None)
        writer.close()

    def _open_fifo(self, instance: str) -> int:
        try:
            try:
                return fifo.open_fifo(self._fifo_dir_fd, instance)
            except FileNotFoundError:  # the directory itself was removed
                _recreate_directory(self._fifo_directory, self._fifo_dir_fd, 0o700)
                return fifo.open_fifo(self._fifo_dir_fd, instance)
        except OSError as error:
            raise OperationFailed(f"{instance}: no pipe for its output: {error.strerror}") from None

    def _release(self, stream: Stream) -> None:
        stream.drain()
        self._leave(stream.writer)
        self._collecting.discard(stream)
        self._loop.unregister(stream.fd)
        os.close(stream.fd)


def _untidy(names: Iterable[str]) -> set[str]:
    """The instances that have more files, by the names of all, than a log and its index: rotated ones, a link, or what
    a killed daemon had begun."""
    found = set()
    for name in names:
        instance, end, rest = name.rpartition(rotation.log_name(""))
        if end and rest not in ("", ".idx"):
            found.add(instance)
    return found


def _of_stderr(spec: LogSpec) -> LogSpec:
    """How a standard error apart is kept; its lines are printed with those of its instance."""
    kept = replace(spec, path=spec.stderr or None, path_shared=spec.stderr_shared, console=ConsoleMode.NO)
    return kept if kept.path is not None else replace(kept, mode=None, owner=None, group=None)


def _of_shared(spec: LogSpec) -> LogSpec:
    """How the file is kept; its lines come with their times."""
    return replace(spec, timestamps=False)


def _shares(stream: Stream) -> bool:
    return not isinstance(stream.writer, Writer)


def _open_directory(path: str, mode: int) -> int:
    os.makedirs(path, mode, exist_ok=True)  # noqa: PTH103 - pathlib would cost the daemon memory for urllib
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _recreate_directory(path: str, fd: int, mode: int) -> None:
    """Make the directory again, and let `fd` lead to it."""
    new_fd = _open_directory(path, mode)
    os.dup2(new_fd, fd, inheritable=False)
    os.close(new_fd)
