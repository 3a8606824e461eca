"""Output capture for all instances: holds their streams and limits the number of open log files.

An idle instance costs one descriptor, its FIFO. Log files of instances that write stay open, up to a fixed number.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress

from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.logs import fifo, reader, rotation
from supervisor.adapters.logs.compressor import Compressor
from supervisor.adapters.logs.segment import Segment
from supervisor.adapters.logs.stream import Stream
from supervisor.adapters.logs.timestamp_spool import TimestampSpool, spool_name
from supervisor.adapters.logs.writer import Writer
from supervisor.core.model.spec import LogSpec
from supervisor.errors import OperationFailed

_OPEN_FILES = 128


class LogStore:
    """The output streams of all instances. `on_problem(instance, message)` is called for problems worth reporting."""

    def __init__(
        self,
        loop: EventLoop,
        directory: str,
        fifo_directory: str,
        on_problem: Callable[[str, str], None],
        inherited: dict[str, int] | None = None,
    ) -> None:
        """`directory` holds the log files, `fifo_directory` the pipes. Raises OperationFailed when one cannot be made.

        `inherited`: descriptors of pipes, by instance, that were held open while no daemon ran.
        """
        self.directory = directory
        self.problem = on_problem
        self._fifo_directory = fifo_directory
        self._loop = loop
        self._streams: dict[str, Stream] = {}
        self._inherited = inherited or {}
        self._in_use: dict[str, int] = {}
        self._writing: dict[Writer, None] = {}  # writers whose files are open, the oldest first
        try:
            self._dir_fd = _open_directory(directory, 0o750)
            self._fifo_dir_fd = _open_directory(fifo_directory, 0o700)
            os.fchmod(self._fifo_dir_fd, 0o700)  # see fifo.py; fails if the directory belongs to another user
        except OSError as error:
            raise OperationFailed(
                f"{error.filename}: {error.strerror}", "output cannot be captured without it"
            ) from None
        self._compressor = Compressor(loop, self._dir_fd, on_problem)

    def open(self, instance: str, spec: LogSpec) -> Stream:
        """The stream of `instance`, kept as `spec` says from now on. Raises OperationFailed when no pipe can be opened.

        Output that a child wrote while no daemon ran is still in the pipe, and is read first.
        """
        stream = self._streams.get(instance)
        if stream is not None:
            if spec != stream.writer.spec:
                stream.writer.spec = spec
                self._shut(stream.writer)
                self._tidy(stream.writer, recover=False)
            return stream
        in_use = self._in_use.pop(instance, None)
        fd = self._open_fifo(instance) if in_use is None else in_use
        writer = Writer(self, instance, spec)
        self._tidy(writer, recover=True)
        held = self._inherited.pop(instance, None)
        if held is not None:
            if not os.path.samestat(os.fstat(held), os.fstat(fd)):  # the name leads to another pipe now
                Stream(self, held, writer).drain()
            os.close(held)
        stream = self._streams[instance] = Stream(self, fd, writer)
        self._loop.register(fd, stream.readable)
        return stream

    def reach(self, instance: str, pid: int) -> None:
        """Find the pipe of `pid`, the live main process of an earlier daemon, if its name was removed. Call before
        `open`.

        The pipe is opened through the process's own descriptors, so that its output still has a reader.
        """
        for fd in (1, 2):
            path = f"/proc/{pid}/fd/{fd}"
            with suppress(OSError):
                if os.readlink(path) == f"{self._fifo_directory}/{instance} (deleted)":  # noqa: PTH115
                    self._in_use[instance] = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
                    return

    def descriptors(self) -> dict[str, int]:
        """The pipe of each instance, for the next daemon or for a process that holds them until it starts."""
        return {instance: stream.fd for instance, stream in self._streams.items()}

    def remove(self, instance: str) -> None:
        """Close the stream of a removed instance; its pipe is deleted, its log files stay."""
        stream = self._streams.pop(instance, None)
        if stream is not None:
            stream.finish_line()
            self._release(stream)
            with suppress(OSError):
                os.unlink(instance, dir_fd=self._fifo_dir_fd)

    def close(self) -> None:
        """Close all files. Pipes stay on disk, so that the next daemon continues where this one ended."""
        for stream in self._streams.values():
            self._release(stream)
        self._streams.clear()
        self._compressor.close()
        os.close(self._dir_fd)
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
                stream.fd = new_fd
                self._loop.register(stream.fd, stream.readable)
                fd = fifo.open_for_child(self._fifo_dir_fd, name, stream.fd)
        except OSError as error:
            raise OperationFailed(f"{name}: no pipe for its output: {error.strerror}") from None
        assert fd is not None
        return fd

    def open_segment(self, writer: Writer) -> Segment:
        """See WriterHost."""
        while len(self._writing) >= _OPEN_FILES:
            self._shut(next(iter(self._writing)))
        log = rotation.log_name(writer.instance)
        try:
            segment = Segment(self._dir_fd, log, writer.spec.max_size)
        except FileNotFoundError:  # the directory itself was removed
            _recreate_directory(self.directory, self._dir_fd, 0o750)
            segment = Segment(self._dir_fd, log, writer.spec.max_size)
        self._writing[writer] = None
        return segment

    def open_spool(self, writer: Writer) -> TimestampSpool:
        """See WriterHost."""
        return TimestampSpool(self._dir_fd, rotation.log_name(writer.instance))

    def rotated(self, writer: Writer) -> None:
        """See WriterHost."""
        if writer.spec.compress:
            self._compressor.submit(writer.instance, writer.spec.keep)

    def tail(self, instance: str, n: int) -> list[str]:
        """See StreamHost."""
        try:
            return [text for _, text in reader.read(self.directory, instance, lines=n, unfinished=True).lines]
        except OSError:
            return []

    def _tidy(self, writer: Writer, *, recover: bool) -> None:
        """Bring the files in line with the spec. With `recover`, first finish what a killed daemon had begun."""
        log = rotation.log_name(writer.instance)
        try:
            if recover:
                rotation.recover(self._dir_fd, log, writer.spec.keep)
                if rotation.exists(self._dir_fd, spool_name(log)):
                    writer.recover()
            rotation.forget_beyond(self._dir_fd, log, writer.spec.keep)
        except OSError as error:
            self.problem(writer.instance, f"the log files cannot be put in order: {error.strerror}")
        self.rotated(writer)

    def _shut(self, writer: Writer) -> None:
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
        self._shut(stream.writer)
        self._loop.unregister(stream.fd)
        os.close(stream.fd)


def _open_directory(path: str, mode: int) -> int:
    os.makedirs(path, mode, exist_ok=True)  # noqa: PTH103 - pathlib would cost the daemon memory for urllib
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _recreate_directory(path: str, fd: int, mode: int) -> None:
    """Make the directory again, and let `fd` lead to it."""
    new_fd = _open_directory(path, mode)
    os.dup2(new_fd, fd, inheritable=False)
    os.close(new_fd)
