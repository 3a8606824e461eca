"""The configuration file of HAProxy, as a pure function of the balanced services, their slots and their states.

It holds the present addresses and states, so that a worker that reads it serves at once.  They are no part of its
definition: a change of them alone needs no reload.  `mark` names the definition; HAProxy shows it as its description,
and so a daemon knows what is loaded and on which addresses HAProxy listens.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple
from zlib import crc32

from supervisor.core.balancing.answers import MARKED
from supervisor.core.balancing.slots import Command, Slot, SlotState
from supervisor.core.model.spec import BalanceSpec

NOWHERE = "127.0.0.1:1"
"""The address of a slot that has no instance."""
LEAST_SLOTS, HOSTS = 8, 4
IDEMPOTENT = "GET HEAD OPTIONS PUT DELETE TRACE"
BUFFER = 15 * 1024
"""Bytes of a request that HAProxy can keep to send it again (tune.bufsize less tune.maxrewrite).  A request that may
fit is sent on only when it is complete: HAProxy does not send a request again of which a part came after it began."""
LONGEST_WAIT = 600
"""Seconds that a client or an instance may be silent within a request: a hung instance is found by its heartbeats."""


class Place(NamedTuple):
    """Where HAProxy has its files, and as whom its worker runs (empty: as the daemon)."""

    directory: str
    user: str = ""
    group: str = ""

    @property
    def file(self) -> str:
        return f"{self.directory}/haproxy.cfg"

    @property
    def worker(self) -> str:
        """The socket of the worker, for commands and looks."""
        return f"{self.directory}/w.sock"

    @property
    def master(self) -> str:
        """The socket of the master, which knows all workers."""
        return f"{self.directory}/m.sock"

    @property
    def root(self) -> str:
        """An empty directory, the root directory of a worker that root started."""
        return f"{self.directory}/empty"


class Backend(NamedTuple):
    """One balanced service with its slots."""

    name: str
    balance: BalanceSpec
    slots: Sequence[Slot]


def slots_for(replicas: int, balance: BalanceSpec | None = None) -> int:
    """How many slots a service gets: as many again as it has instances, for those that still drain.  Where it is
    balanced over hosts there is room for as many instances on HOSTS hosts; more hosts cost a reload."""
    hosts = HOSTS if balance is not None and balance.hosts == "all" else 1
    return max(LEAST_SLOTS, 2 * replicas * hosts)


def longest_drain(backends: Iterable[Backend]) -> float:
    return max((one.balance.drain for one in backends), default=0.0)


def mark(place: Place, backends: Sequence[Backend]) -> str:
    """The name of the definition: what only a reload can change."""
    blank = [one._replace(slots=[Slot(slot.number) for slot in one.slots]) for one in backends]
    return f"{crc32(_text(place, blank, '').encode()):08x}"


def text(place: Place, backends: Sequence[Backend]) -> str:
    """The whole file."""
    return _text(place, backends, mark(place, backends))


def _text(place: Place, backends: Sequence[Backend], named: str) -> str:
    listens = " ".join(address(one.balance.listen) for one in backends)
    lines = [
        "# Written by the supervisor, which overwrites it; see docs/balancing.md.",
        "global",
        f'    description "{MARKED} {named} {listens}"',
        *(
            [f"    user {place.user}", f"    group {place.group}", f"    chroot {_quoted(place.root)}"]
            if place.user
            else []
        ),
        f"    stats socket {_quoted(place.worker)} mode 600 level admin",
        "    stats timeout 1m",
        "    stats maxconn 100",
        f"    hard-stop-after {_seconds(longest_drain(backends))}",
        "defaults",
        "    timeout connect 2s",
        "    timeout queue 30s",
        "    timeout http-request 10s",
        "    timeout http-keep-alive 30s",
        f"    timeout client {LONGEST_WAIT}s",
        f"    timeout server {LONGEST_WAIT}s",
        "    timeout tunnel 1h",
        "    retries 3",
        "    option redispatch 1",
    ]
    for one in backends:
        lines += ["", *_frontend(one), *_backend(one)]
    return "\n".join(lines) + "\n"


def _frontend(one: Backend) -> list[str]:
    """Its name is another one than the backend's: of two with one name, `show stat NAME 4 ID` finds the first alone."""
    balance = one.balance
    tls = f" ssl crt {_quoted(balance.certificate)}" if balance.certificate else ""
    alpn = " alpn h2,http/1.1" if balance.certificate and balance.mode == "http" else ""
    lines = [f"frontend in:{one.name}", f"    mode {balance.mode}", f"    bind {address(balance.listen)}{tls}{alpn}"]
    if balance.mode == "http":
        lines.append("    option idle-close-on-response")
    return [*lines, f"    default_backend {one.name}"]


def _backend(one: Backend) -> list[str]:
    balance = one.balance
    lines = [f"backend {one.name}", f"    mode {balance.mode}", f"    balance {balance.algorithm}"]
    if balance.mode == "http" and balance.retry == "idempotent":
        lines += [
            "    retry-on conn-failure empty-response",
            f"    acl may_run_twice method {IDEMPOTENT}",
            "    http-request disable-l7-retry unless may_run_twice",
            f"    acl fits_the_buffer req.hdr_val(content-length) 1:{BUFFER}",
            f"    http-request wait-for-body time {LONGEST_WAIT}s if may_run_twice fits_the_buffer",
        ]
    if balance.check:
        lines.append(f"    option httpchk GET {balance.check}")
    if balance.sticky == "cookie":
        lines.append("    cookie SUPERVISOR insert indirect nocache httponly")
    elif balance.sticky == "source":
        lines += ["    stick-table type ipv6 size 100k expire 30m", "    stick on src"]
    most = f" maxconn {balance.max_connections}" if balance.max_connections else ""
    lines.append(f"    default-server check inter 2s fall 3 rise 1{most}")
    return lines + [_server(slot, balance) for slot in one.slots]


def _server(slot: Slot, balance: BalanceSpec) -> str:
    cookie = f" cookie slot{slot.number}" if balance.sticky == "cookie" else ""
    active = slot.state is SlotState.ACTIVE
    where = slot.address if active else NOWHERE
    return f"    server slot{slot.number} {where} id {slot.number}{cookie}{'' if active else ' disabled'}"


def address(listen: tuple[str, int]) -> str:
    host, port = listen
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def words(backend: str, command: Command) -> str:
    """The command as HAProxy understands it."""
    server = f"set server {backend}/slot{command.number}"
    if not command.ready:
        return f"{server} state maint"
    host, _, port = command.address.rpartition(":")
    return f"{server} addr {host.strip('[]')} port {port};{server} state ready"


def _quoted(path: str) -> str:
    """In double quotes, where a blank and # mean nothing; what still means something is escaped."""
    return '"' + "".join(f"\\{c}" if c in '\\"$' else c for c in path) + '"'


def _seconds(value: float) -> str:
    return f"{max(1, round(value * 1000))}ms"
