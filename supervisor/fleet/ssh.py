"""One connection to one host, by Fabric.  What Fabric leaves open is closed here.

Fabric accepts any host key, so known keys are loaded and others refused, on each hop.  Its `run` does not end a remote
command when its time is over, reads large output in quadratic time, and sends `env` unquoted: commands are sent on a
channel of our own, quoted, under `timeout` of the host.  Each wait has a limit; a wait that exceeds it all the same (a
dead peer while a channel opens, a transfer) is ended from outside (parallel.py).
"""

from __future__ import annotations

import logging
import os
import select
import shlex
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from fabric import Config, Connection
from paramiko import (
    AuthenticationException,
    BadHostKeyException,
    ChannelException,
    PasswordRequiredException,
    SSHException,
)
from paramiko.ssh_exception import NoValidConnectionsError

from supervisor.core.model.fleet_spec import FleetHost
from supervisor.fleet import known_hosts
from supervisor.fleet.problems import HostProblem, Kind

CONNECT_WITHIN = 10.0
"""Seconds for each of: the TCP connection, the banner, the authentication, a channel."""
BANNER_TRIES = 6
BLOCK = 32768
LARGEST_ANSWER = 4 * 1024 * 1024
GRACE = 5.0
"""Seconds between the limit of the host's `timeout` and ours, and for its SIGKILL."""
AFTER_EXIT = 2.0
"""Seconds without output after which a program that has ended is not waited for any longer: a process that it left
behind holds its output open."""
TIMED_OUT = 124
KILLED = 137
_LOST = "the connection was lost"

logging.getLogger("paramiko").addHandler(logging.NullHandler())
logging.getLogger("paramiko").propagate = False  # its threads would print tracebacks of what is reported anyway


def _configuration() -> Config:
    """What ssh's own files say; files of Fabric's own are not read."""
    config = Config(lazy=True)
    config.load_ssh_config()
    return config


class Remote:
    """A connection to a host."""

    def __init__(self, host: FleetHost) -> None:
        self._host = host
        self._connection = Connection(
            host.address,
            user=host.user or None,
            port=host.port,
            config=_configuration(),
        )
        self._hops = list(_hops(self._connection))

    @property
    def _within(self) -> float:
        return float(self._connection.connect_timeout)

    @property
    def _name(self) -> str:
        return f"{self._connection.user}@{self._connection.host} port {self._connection.port}"

    def open(self) -> None:
        """Connect.  HostProblem says why that is not possible."""
        for hop in self._hops:
            name, known = _known_as(hop), hop.client.get_host_keys()
            for key in known_hosts.keys_of(name, known_hosts.files(hop.ssh_config)):
                known.add(name, key.get_name(), key)
            hop.client.set_missing_host_key_policy(known_hosts.RefuseUnknown())
        for left in reversed(range(BANNER_TRIES)):
            began = time.monotonic()
            try:
                self._connection.open()
                break
            except SSHException as error:
                dropped = refused_for_load(error, time.monotonic() - began, self._within)
                if not (left and dropped):
                    raise self._problem(error, dropped=dropped) from None
                time.sleep(min(2.0, 0.2 * 2 ** (BANNER_TRIES - 1 - left)) * (0.5 + os.urandom(1)[0] / 255))
            except (OSError, ValueError) as error:
                raise self._problem(error) from None
        for hop in self._hops:
            key = hop.transport.get_remote_server_key()
            if known_hosts.is_revoked(_known_as(hop), key, known_hosts.files(hop.ssh_config)):
                self.close()
                raise HostProblem(
                    Kind.CHANGED_KEY,
                    f"{_known_as(hop)} shows {known_hosts.fingerprint(key)}, which known_hosts revokes",
                    "This key has been stolen or replaced: do not connect.",
                )

    def _problem(self, error: Exception, *, dropped: bool = False) -> HostProblem:
        """What a failed connection means."""
        if isinstance(error, BadHostKeyException):
            for hop in self._hops:
                paths = known_hosts.files(hop.ssh_config)
                if error.expected_key in known_hosts.keys_of(_known_as(hop), paths):
                    return known_hosts.changed(_known_as(hop), error.key, paths)
        if isinstance(error, PasswordRequiredException):
            return HostProblem(
                Kind.REFUSED, f"the key for {self._name} is encrypted", "Load it into the agent: ssh-add"
            )
        if isinstance(error, AuthenticationException):
            return HostProblem(
                Kind.REFUSED,
                f"{self._name} takes none of the keys of the agent and of ssh's configuration",
                f"Try it with: {self._by_hand()}",
            )
        if isinstance(error, socket.gaierror):
            return HostProblem(Kind.UNREACHABLE, f"{self._connection.host} is not a known name", "Correct `address`.")
        if isinstance(error, NoValidConnectionsError):
            reasons = {str(one.strerror or one) for one in error.errors.values()}
            return HostProblem(
                Kind.UNREACHABLE,
                f"{self._name}: {', '.join(sorted(reasons))}",
                "Is its sshd running, and is the port right?",
            )
        if dropped:
            message = f"{self._name} is not an ssh server, or takes no more connections (MaxStartups)"
            return HostProblem(Kind.UNREACHABLE, message, f"Try it with: {self._by_hand()}")
        if isinstance(error, TimeoutError) or any(word in str(error) for word in ("session", "banner", "imeout")):
            message = f"{self._name} gives no answer"
            return HostProblem(Kind.UNREACHABLE, message, f"Try it with: {self._by_hand()}")
        if isinstance(error, FileNotFoundError):
            return HostProblem(Kind.REFUSED, f"{error.filename}: {error.strerror}", "Correct IdentityFile.")
        return HostProblem(Kind.UNREACHABLE, f"{self._name}: {error}", f"Try it with: {self._by_hand()}")

    def _by_hand(self) -> str:
        words = ["ssh", "-v"]
        words += ["-p", str(self._host.port)] if self._host.port else []
        words.append(f"{self._host.user}@{self._host.address}" if self._host.user else self._host.address)
        return shlex.join([*words, "true"])

    def execute(
        self,
        script: str,
        within: float,
        stdin: bytes = b"",
        on_output: Callable[[str, bytes], None] | None = None,
    ) -> tuple[int, bytes, bytes]:
        """Run a script in a shell of the host: its exit code and output, which goes to `on_output` in pieces if given.

        The host ends it after `within`.  What the files of the login shell print comes before a mark, and is dropped.
        """
        mark = uuid4().hex
        command = f"echo {mark}; echo {mark} >&2; {limited(script, within)}"
        outputs = {name: _AfterMark(mark.encode() + b"\n") for name in ("stdout", "stderr")}
        texts = {"stdout": bytearray(), "stderr": bytearray()}

        def taken(name: str, data: bytes) -> None:
            if not (rest := outputs[name].feed(data)):
                return
            if on_output is not None:
                on_output(name, rest)
                return
            if len(texts[name]) < LARGEST_ANSWER:
                texts[name] += rest

        with self._channel(within) as channel:
            channel.exec_command(f"sh -c {shlex.quote(command)}")
            if stdin:
                channel.sendall(stdin)
            channel.shutdown_write()
            for name, data in _reading(channel, time.monotonic() + within + 2 * GRACE):
                taken(name, data)
            code = channel.recv_exit_status() if channel.exit_status_ready() else -1
        if not outputs["stdout"].seen:
            if code == -1:
                raise HostProblem(Kind.LOST, _LOST)
            said = bytes(outputs["stdout"].held[:200]).decode(errors="replace").strip()
            raise HostProblem(
                Kind.FAILED,
                f"the login shell ends with {code} before it runs a command: {said}",
                "See its start-up files.",
            )
        if code == -1 and not self._connection.is_connected:
            raise HostProblem(Kind.LOST, _LOST)
        return code, bytes(texts["stdout"]), bytes(texts["stderr"])

    @contextmanager
    def _channel(self, within: float) -> Iterator[Any]:
        try:
            channel = self._connection.transport.open_session(timeout=CONNECT_WITHIN)
            try:
                channel.settimeout(within + 2 * GRACE)
                yield channel
            finally:
                channel.close()
        except ChannelException as error:
            raise HostProblem(
                Kind.FAILED, f"the host opens no session: {error.text}", "See MaxSessions there."
            ) from None
        except TimeoutError:
            raise HostProblem(Kind.TIMEOUT, f"no answer within {within + 2 * GRACE:g} s") from None
        except (SSHException, EOFError, OSError) as error:
            raise HostProblem(Kind.LOST, f"{_LOST}: {error}" if str(error) else _LOST) from None

    def send(self, local: Path, remote: str, progress: Callable[[int, int], None]) -> None:
        """Copy a file.  It has its name only once all of it is there, and is readable by its owner alone."""
        temporary = f"{remote}.part"
        try:
            with self._connection.client.open_sftp() as sftp:
                sftp.get_channel().settimeout(30.0)
                with local.open("rb") as file:
                    sftp.putfo(file, temporary, local.stat().st_size, callback=progress, confirm=True)
                sftp.chmod(temporary, 0o600)
                sftp.posix_rename(temporary, remote)
        except TimeoutError:
            raise HostProblem(Kind.TIMEOUT, f"no answer for 30 s while {local.name} was sent") from None
        except (SSHException, EOFError) as error:
            raise HostProblem(Kind.LOST, f"{_LOST} while {local.name} was sent: {error}") from None
        except OSError as error:
            raise HostProblem(
                Kind.FAILED, f"{remote} cannot be written: {error.strerror or error}", "Is there space, and sftp?"
            ) from None

    def close(self) -> None:
        """End the connection."""
        for hop in self._hops:
            hop.close()


def _known_as(hop: Connection) -> str:
    return known_hosts.name(hop.host, int(hop.port))


def _hops(connection: Connection | str | None) -> Iterator[Connection]:
    """The connection, and those to the hosts that it jumps over.  Each gets limits: ConnectTimeout of ssh's
    configuration, or our own."""
    while isinstance(connection, Connection):
        within = float(connection.ssh_config.get("connecttimeout", CONNECT_WITHIN))
        connection.connect_timeout = within
        limits = dict.fromkeys(("banner_timeout", "auth_timeout", "channel_timeout"), within)
        connection.connect_kwargs = {**limits, **connection.connect_kwargs}
        yield connection
        connection = connection.gateway


def refused_for_load(error: Exception, took: float, within: float) -> bool:
    """Whether sshd has closed the connection before its banner, as it does beyond MaxStartups.  A port that says
    nothing gives the same error, but only when the time is over."""
    return "banner" in str(error) and took < within / 2


def limited(script: str, within: float) -> str:
    """A command line that ends after `within` seconds, also when the connection is lost."""
    return f"exec timeout -k {GRACE:g} {within:g} sh -c {shlex.quote(script)}"


def joined(words: Mapping[int, str] | tuple[str, ...]) -> str:
    """The command of `fleet run`: several words are taken as they are, one is a line for the shell."""
    return words[0] if len(words) == 1 else shlex.join(words)  # type: ignore[arg-type]


class _AfterMark:
    """Drops what comes before a line."""

    def __init__(self, mark: bytes) -> None:
        self._mark = mark
        self.held = bytearray()
        self.seen = False

    def feed(self, data: bytes) -> bytes:
        """What of `data` comes after the mark."""
        if self.seen:
            return data
        self.held += data
        before, found, after = self.held.partition(self._mark)
        if not found:
            del self.held[:-LARGEST_ANSWER]
            return b""
        self.seen = True
        self.held = bytearray(before)
        return bytes(after)


def _reading(channel: Any, until: float) -> Iterator[tuple[str, bytes]]:
    """Pieces of stdout and stderr as they come, to the end of both; TimeoutError after `until`."""
    poll = select.poll()
    poll.register(channel.fileno(), select.POLLIN)
    quiet_since = time.monotonic()
    while True:
        got = False
        while channel.recv_ready():
            got = True
            yield "stdout", channel.recv(BLOCK)
        while channel.recv_stderr_ready():
            got = True
            yield "stderr", channel.recv_stderr(BLOCK)
        now = time.monotonic()
        quiet_since = now if got else quiet_since
        if got:
            continue
        if channel.closed or (channel.eof_received and channel.exit_status_ready()):
            return
        if channel.exit_status_ready() and now - quiet_since > AFTER_EXIT:
            return
        if now >= until:
            raise TimeoutError
        poll.poll(1000 * min(0.5, until - now))
