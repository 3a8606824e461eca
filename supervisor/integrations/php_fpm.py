"""Prints what each child of php-fpm does, by its status page: php-fpm needs only `pm.status_path`.

    [services.php.heartbeat]
    source = "exec"
    scope = "process"
    exec = ["python3", "-m", "supervisor.integrations.php_fpm", "/run/php/fpm.sock", "/status"]

Asks ADDRESS (a path, or host:port) for the page PATH by FastCGI.  It prints `PID 0` for a child that waits, and
`PID AGE LIMIT URI` for one that has worked on a request for AGE seconds; `--longest SECONDS` (60) is the limit.  Give
the page an address of its own (`pm.status_listen`): it then answers also while all children are at work.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
from collections.abc import Iterator
from typing import Any

_BEGIN, _END, _PARAMETERS, _INPUT, _OUTPUT = 1, 3, 4, 5, 6
_HEADER = struct.Struct("!BBHHBx")  # version, type, request, length, padding
_WAITS = ("Idle", "Reading headers")  # the second one waits on a connection that is kept open


def ask(address: str, path: str, timeout: float = 10.0) -> Any:
    """The status page as php-fpm gives it.  OSError or ValueError where there is none."""
    values = {"REQUEST_METHOD": "GET", "SCRIPT_NAME": path, "SCRIPT_FILENAME": path, "QUERY_STRING": "full&json"}
    with socket.socket(socket.AF_UNIX if "/" in address else socket.AF_INET) as connection:
        connection.settimeout(timeout)
        host, _, port = address.rpartition(":")
        connection.connect(address if "/" in address else (host, int(port)))
        connection.sendall(question(values))
        head, _, body = answer(connection).partition(b"\r\n\r\n")
    if not body.startswith(b"{"):
        what = " ".join((head + b" " + body).decode(errors="replace").split())
        raise ValueError(f"{path} is not the status page: {what[:100]}")
    return json.loads(body)


def question(values: dict[str, str]) -> bytes:
    """A FastCGI request with these parameters."""
    pairs = ((name.encode(), value.encode()) for name, value in values.items())
    parameters = b"".join(struct.pack("!BL", len(name), len(value) | 1 << 31) + name + value for name, value in pairs)
    begin = struct.pack("!HB5x", 1, 0)  # a responder; the connection is closed afterwards
    return _record(_BEGIN, begin) + _record(_PARAMETERS, parameters) + _record(_PARAMETERS) + _record(_INPUT)


def _record(kind: int, content: bytes = b"") -> bytes:
    return _HEADER.pack(1, kind, 1, len(content), 0) + content


def answer(connection: socket.socket) -> bytes:
    """What the request has given on its output, to its end."""
    output = bytearray()
    with connection.makefile("rb") as file:
        while len(header := file.read(_HEADER.size)) == _HEADER.size:
            _, kind, _, length, padding = _HEADER.unpack(header)
            content = file.read(length)
            file.read(padding)
            if kind == _OUTPUT:
                output += content
            elif kind == _END:
                break
    return bytes(output)


def lines(page: Any, longest: str) -> Iterator[str]:
    """One line for each child."""
    for child in page["processes"]:
        if child["state"] in _WAITS:
            yield f"{child['pid']} 0"
        else:
            uri = child.get("request uri") or child["state"]
            yield f"{child['pid']} {child['request duration'] / 1e6:.3f} {longest} {uri}"


def main(arguments: list[str]) -> str | None:
    """Print the lines; what is wrong is returned."""
    longest = "60"
    if "--longest" in arguments[:-1]:
        at = arguments.index("--longest")
        longest = arguments[at + 1]
        arguments = arguments[:at] + arguments[at + 2 :]
    if len(arguments) != 2:
        return "usage: php_fpm ADDRESS PATH [--longest SECONDS]"
    address, path = arguments
    try:
        for line in lines(ask(address, path), longest):
            print(line)  # noqa: T201
    except (OSError, ValueError, KeyError) as error:
        return f"{address}: {error}"
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
