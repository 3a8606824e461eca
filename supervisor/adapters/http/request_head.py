"""What HTTP requires of a request beyond what h11 checks, and what its target and its host say.

Another HTTP program in between could read a doubtful request in another way, and so let one request pass inside another
(request smuggling). Therefore nothing doubtful is guessed at.
"""

from __future__ import annotations

import re
import socket

import h11

_DOUBTFUL_LINE = re.compile(rb"(?<!\r)\n|\r(?!\n)|\n[ \t]")
_PORT = re.compile(r"(?::\d*)?", re.ASCII)
_SCHEME = re.compile(r"https?://", re.IGNORECASE)


def check_lines(raw: bytes) -> None:
    """Check the lines of a head or of the end of a chunked body (RFC 9112, 2.2 and 5.2). Raises RemoteProtocolError."""
    if _DOUBTFUL_LINE.search(raw):
        raise h11.RemoteProtocolError("each line ends with CR LF, and a header has one line")


def check_head(head: h11.Request) -> None:
    """Check the framing and the target of a request (RFC 9112, 3.2 and 6.1), and that it comes from one page. Raises
    RemoteProtocolError."""
    names = [name for name, _ in head.headers]
    if names.count(b"origin") > 1:
        raise h11.RemoteProtocolError("a request has one Origin")
    if b"transfer-encoding" in names:
        if b"content-length" in names:
            raise h11.RemoteProtocolError("a request has Content-Length or Transfer-Encoding, not both")
        if head.http_version < b"1.1":
            raise h11.RemoteProtocolError("HTTP/1.0 has no Transfer-Encoding")
    target = head.target.decode("latin-1")
    if not target.startswith("/") and not _SCHEME.match(target):
        raise h11.RemoteProtocolError("the target of a request is a path or an http URL")


def announced(head: h11.Request) -> int:
    """The length of the body by its head; h11 has checked that it is a number."""
    return next((int(value) for name, value in head.headers if name == b"content-length"), 0)


def origin(head: h11.Request) -> tuple[str, str, str]:
    """Host, path and query. A client that expects a proxy sends the whole URL, whose host counts then (RFC 9112,
    3.2.2).
    """
    target = head.target.decode("latin-1")
    host = next((value.decode("latin-1") for name, value in head.headers if name == b"host"), "")
    scheme = _SCHEME.match(target)
    if scheme is not None:
        rest = target[scheme.end() :]
        length = min(rest.find(mark) % (len(rest) + 1) for mark in "/?")
        host, target = rest[:length], rest[length:]
    path, _, query = target.partition("?")
    return host, path or "/", query


def is_address(host: str) -> bool:
    """Whether the host is an address or localhost, with a port or without.

    A web page could let its own name lead here, and so read in a browser on this machine what is meant for this machine
    alone (DNS rebinding).
    """
    if host.startswith("["):
        name, closed, port = host[1:].partition("]")
        return bool(closed) and _PORT.fullmatch(port) is not None and _is_number(socket.AF_INET6, name)
    name, colon, port = host.partition(":")
    if _PORT.fullmatch(colon + port) is None:
        return False
    return name.lower() in ("", "localhost") or _is_number(socket.AF_INET, name)


def is_this_machine(host: str) -> bool:
    """Whether the host is localhost or a loopback address, with a port or without."""
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    return bool(name) and is_address(host) and (name.lower() in ("localhost", "::1") or name.startswith("127."))


def _is_number(family: int, text: str) -> bool:
    try:
        socket.inet_pton(family, text)
    except (OSError, ValueError):
        return False
    return True
