"""Reads the stream of the daemon in a thread and posts its messages to the app.

A status that was not drawn yet is replaced by the next, so that a slow terminal skips updates instead of lagging.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from textual.message import Message

from supervisor.errors import SupervisorError

if TYPE_CHECKING:
    from supervisor.core.model.documents import Difference, Event, InstanceDetail, Interruption, Status, StreamMessage
    from supervisor.core.model.evidence_documents import Evidence
    from supervisor.core.model.log_documents import Logs


T = TypeVar("T")
Refused = tuple[Literal["refused"], "Interruption"]
"""The daemon has refused the stream."""


class Stream(Protocol):
    def __iter__(self) -> Iterator[StreamMessage]: ...

    def close(self) -> None: ...


class Client(Protocol):
    """The part of `supervisor.client.Client` that the dashboard uses."""

    @property
    def path(self) -> str: ...

    def instance(self, name: str) -> InstanceDetail: ...

    def events(
        self,
        services: Sequence[str] = (),
        *,
        since: float | None = None,
        after: int | None = None,
        limit: int | None = None,
    ) -> list[Event]: ...

    def evidence(self, event_id: int) -> Evidence: ...

    def logs(
        self,
        name: str,
        *,
        lines: int | None = None,
        since: float | None = None,
        before: str | None = None,
        after: str | None = None,
    ) -> Logs: ...

    def get(self, route: str, **query: object) -> Any: ...

    def act(self, verb: str, services: Sequence[str] = (), signal: str | None = None) -> list[str]: ...

    def down(self) -> None: ...

    def reload(self, dry_run: bool = False) -> Difference: ...

    def stream(
        self,
        topics: Sequence[str],
        services: Sequence[str] = (),
        interval: float = 1.0,
        after: int | None = None,
        reconnect: bool = False,
    ) -> Stream: ...


class StatusWaiting(Message):
    """A status can be taken with `StreamReader.take`."""


class News(Message):
    """Any other message of a stream."""

    def __init__(self, source: StreamReader, message: StreamMessage | Refused) -> None:
        super().__init__()
        self.source = source
        self.message = message


class Answer(Message):
    """A request is done; `deliver` is to be called in the app."""

    def __init__(self, deliver: Callable[[], None]) -> None:
        super().__init__()
        self.deliver = deliver


Post = Callable[[Message], object]


class StreamReader:
    """One stream, read until `stop`, through every reconnection.  `start` it once."""

    def __init__(self, client: Client, post: Post, topics: Sequence[str], services: Sequence[str] = ()) -> None:
        self._client, self._post = client, post
        self._topics, self._services = topics, services
        self._stream: Stream | None = None
        self._status: Status | None = None
        self._lock = threading.Lock()
        self._stopped = False

    def start(self) -> None:
        threading.Thread(target=self._run, name="dashboard stream", daemon=True).start()

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            if self._stream is not None:
                self._stream.close()

    def take(self) -> Status | None:
        """The newest status; None if it was taken already."""
        with self._lock:
            status, self._status = self._status, None
        return status

    def _run(self) -> None:
        try:
            stream = self._client.stream(self._topics, self._services, reconnect=True)
            with self._lock:
                self._stream = stream
                if self._stopped:
                    stream.close()
            for message in stream:
                self._tell(message)
        except SupervisorError as error:
            _post(self._post, News(self, ("refused", {"error": error.message})))

    def _tell(self, message: StreamMessage) -> None:
        if message[0] != "status":
            _post(self._post, News(self, message))
            return
        with self._lock:
            unread, self._status = self._status is not None, message[1]
        if not unread:
            _post(self._post, StatusWaiting())


def ask(
    post: Post, call: Callable[[], T], done: Callable[[T], None], failed: Callable[[SupervisorError], None]
) -> None:
    """Make a request in a thread; the app gets the result."""

    def run() -> None:
        try:
            answer = call()
        except SupervisorError as error:
            wrong = error
            _post(post, Answer(lambda: failed(wrong)))
            return
        _post(post, Answer(lambda: done(answer)))

    threading.Thread(target=run, name="dashboard request", daemon=True).start()


def _post(post: Post, message: Message) -> None:
    """Post a message, unless the app has ended."""
    try:
        post(message)
    except RuntimeError:
        return
