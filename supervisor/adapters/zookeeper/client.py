"""A session with ZooKeeper: carries out the agent's requests, and reports what happens.  Nothing here waits.

Each request is answered at most once; one that is given up may have been carried out, or still be.  Callbacks of kazoo
only post events: one that called the client would block it for ever.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from kazoo.exceptions import (
    AuthFailedError,
    BadVersionError,
    ConnectionClosedError,
    ConnectionLoss,
    InvalidACLError,
    KazooException,
    NoAuthError,
    NodeExistsError,
    NoNodeError,
    OperationTimeoutError,
    RolledBackError,
    SessionExpiredError,
    SessionMovedError,
)
from kazoo.handlers.threading import KazooTimeoutError
from kazoo.protocol.states import EventType, KazooState
from kazoo.security import make_digest_acl

from supervisor.adapters.zookeeper.connection import Client, LastWords
from supervisor.adapters.zookeeper.events import Answered, Changed, Connected, Disconnected, Ended, Event, Expired
from supervisor.core.cluster.requests import Answer, Node, Request, Result, Verb
from supervisor.errors import OperationFailed

UNANSWERED = (
    ConnectionLoss, SessionExpiredError, SessionMovedError, ConnectionClosedError, OperationTimeoutError,
    KazooTimeoutError, AuthFailedError,
)  # fmt: skip
ANSWERS = {NodeExistsError: Result.EXISTS, NoNodeError: Result.NO_NODE, BadVersionError: Result.BAD_VERSION}


class Options(NamedTuple):
    """`[cluster]`, so far as it concerns the connection.  `hosts`: with or without a chroot; paths: empty for none."""

    hosts: str
    session_timeout: float = 10.0
    request_timeout: float = 2.0
    credentials_file: str = ""
    ca_file: str = ""
    certificate: str = ""
    private_key: str = ""


class Session(NamedTuple):
    """What a new process needs to go on with a session."""

    number: int
    password: bytes


class ZooKeeper:
    """`post` is called from any thread."""

    def __init__(self, options: Options, post: Callable[[Event], None], session: Session | None = None) -> None:
        """OperationFailed where a file cannot be read."""
        servers, _, root = options.hosts.partition("/")
        self._root = f"/{root.strip('/')}" if root.strip("/") else ""
        self._post = post
        self._number = 0
        self._watches: dict[tuple[Verb, str], Callable[[Any], None]] = {}
        self._words = LastWords()
        more: dict[str, Any] = {}
        self._acl = None
        if options.credentials_file:
            user, password = credentials(options.credentials_file)
            more["auth_data"] = [("digest", f"{user}:{password}")]
            self._acl = [make_digest_acl(user, password, all=True)]
        if options.ca_file or options.certificate:
            more |= {
                "use_ssl": True, "check_hostname": True, "ca": options.ca_file or None,
                "certfile": options.certificate or None, "keyfile": options.private_key or None,
            }  # fmt: skip
            try:
                ssl.create_default_context(cafile=options.ca_file or None)
            except (OSError, ssl.SSLError) as error:
                raise OperationFailed(f"{options.ca_file}: {error}") from None
        self._client = Client(
            servers, options.request_timeout, self._words, timeout=options.session_timeout,
            client_id=tuple(session) if session else None, **more,
        )  # fmt: skip
        self._client.add_listener(self._state_changed)

    def start(self) -> None:
        """Connect, and connect again whenever that is needed."""
        self._client.start_async()

    def send(self, request: Request) -> int:
        """Send a request.  The number of its answer."""
        self._number += 1
        number, sent = self._number, now()

        def ended(result: Any) -> None:
            self._post(Answered(number, _answer(request, sent, result)))

        self._carry_out(request, ended)
        return number

    def drop(self) -> None:
        """End the connection: a request was not answered, and another server may answer."""
        self._client.drop()

    def check(self) -> Ended | None:
        """Whether kazoo has given up."""
        return Ended(self._words.text or "kazoo has ended") if self._client.over else None

    @property
    def reason(self) -> str:
        """Why there was no connection last."""
        return self._words.text

    def close(self) -> None:
        """End the session: its nodes vanish at once."""
        self._client.remove_listener(self._state_changed)
        self._client.stop()
        self._client.close()

    def _state_changed(self, state: str) -> None:
        if state == KazooState.CONNECTED:
            client = self._client
            self._post(Connected(client._session_id, client._session_passwd, client.granted))
        elif state == KazooState.LOST:
            self._post(Expired())
        else:
            self._post(Disconnected(self._words.text))

    def _carry_out(self, request: Request, ended: Callable[[Any], None]) -> None:
        client, path, data = self._client, f"{self._root}{request.path}", request.data.encode()
        path = path.rstrip("/") or "/"
        match request.verb:
            case Verb.CHILDREN:
                result = client.get_children_async(path, watch=self._watch(request))
            case Verb.GET:
                client.get_async(path, watch=self._watch(request)).rawlink(partial(self._read, request, ended))
                return
            case Verb.CREATE:
                result = client.create_async(path, data, acl=self._acl, makepath=True)
            case Verb.CREATE_EPHEMERAL:
                result = client.create_async(path, data, acl=self._acl, ephemeral=True)
            case Verb.SET:
                result = client.set_async(path, data, request.version)
            case Verb.DELETE if request.guard:
                both = client.transaction()
                both.check(f"{self._root}{request.guard}", request.guard_version)
                both.delete(path, request.version)
                result = both.commit_async()
            case Verb.DELETE:
                result = client.delete_async(path, request.version)
        result.rawlink(ended)

    def _read(self, request: Request, ended: Callable[[Any], None], result: Any) -> None:
        """A node that is not there is watched by a request of its own kind."""
        if not isinstance(result.exception, NoNodeError):
            ended(result)
            return
        path = f"{self._root}{request.path}"
        self._client.exists_async(path, watch=self._watch(request)).rawlink(partial(self._looked, request, ended))

    def _looked(self, request: Request, ended: Callable[[Any], None], result: Any) -> None:
        if result.successful() and result.value is not None:  # it came to be in between
            self._carry_out(request, ended)
        else:
            ended(result)

    def _watch(self, request: Request) -> Callable[[Any], None]:
        """The same callable for the same node, because kazoo calls each that it was given."""
        key = request.verb, request.path
        if key not in self._watches:
            self._watches[key] = partial(self._fired, key)
        return self._watches[key]

    def _fired(self, key: tuple[Verb, str], event: Any) -> None:
        if event.type != EventType.NONE:
            self._post(Changed(*key))


def now() -> float:
    """The moment, in seconds of CLOCK_BOOTTIME."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def credentials(path: str) -> tuple[str, str]:
    """User and password of a file with USER:PASSWORD.  OperationFailed."""
    try:
        user, _, password = Path(path).read_text().strip().partition(":")
    except (OSError, UnicodeDecodeError) as error:
        raise OperationFailed(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    if not user or not password or "\n" in password:
        raise OperationFailed(f"{path}: it has to hold one line, USER:PASSWORD")
    return user, password


def _answer(request: Request, sent: float, result: Any) -> Answer:
    error = result.exception
    if error is None and request.guard:  # a transaction succeeds as a whole, and lists the errors of its parts
        failed = [one for one in result.value if isinstance(one, Exception)]
        error = next((one for one in failed if not isinstance(one, RolledBackError)), failed[0] if failed else None)
    if error is None:
        return _done(request, sent, result.value)
    if isinstance(error, UNANSWERED):
        return Answer(request, Result.UNKNOWN, sent, reason=type(error).__name__)
    for kind, meaning in ANSWERS.items():
        if isinstance(error, kind):
            return Answer(request, meaning, sent)
    if isinstance(error, NoAuthError | InvalidACLError):
        reason = "ZooKeeper does not allow it: the node has an ACL for other credentials"
        return Answer(request, Result.REFUSED, sent, reason=reason)
    if isinstance(error, KazooException):
        return Answer(request, Result.REFUSED, sent, reason=f"{type(error).__name__} {error}".strip())
    return Answer(request, Result.UNKNOWN, sent, reason=f"{type(error).__name__}: {error}")


def _done(request: Request, sent: float, value: Any) -> Answer:
    if request.verb is Verb.CHILDREN:
        return Answer(request, Result.DONE, sent, names=tuple(sorted(value)))
    if request.verb is not Verb.GET:
        return Answer(request, Result.DONE, sent)
    if value is None:  # of the request for a node that is not there
        return Answer(request, Result.NO_NODE, sent)
    data, stat = value
    node = Node(data.decode(errors="replace"), stat.version, stat.czxid, stat.ephemeralOwner, stat.mtime / 1000.0)
    return Answer(request, Result.DONE, sent, node=node)
