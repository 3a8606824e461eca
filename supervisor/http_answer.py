"""Reads the answers of the daemon: head, body and chunks of HTTP/1.1, as they come from a socket."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

TYPE_CHECKING = False  # importing typing takes time
if TYPE_CHECKING:
    from typing import BinaryIO


def read_head(reader: BinaryIO) -> tuple[int, dict[str, str]]:
    """Status and headers of an answer. Raises ValueError if it is not HTTP."""
    words = reader.readline(65536).split(None, 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/1."):
        raise ValueError("the connection ended" if not words else "not an HTTP answer")
    headers = {}
    while (line := reader.readline(65536)) not in (b"\r\n", b"\n"):
        if not line.endswith(b"\n"):
            raise ValueError("the answer is cut off")
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    return int(words[1]), headers


def read_body(reader: BinaryIO, headers: Mapping[str, str]) -> bytes:
    """The body of an answer, in any framing (RFC 9112, 6)."""
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return b"".join(read_chunks(reader))
    if "content-length" not in headers:
        return reader.read()
    length = int(headers["content-length"])
    body = reader.read(length)
    if len(body) < length:
        raise ValueError("the answer is cut off")
    return body


def read_chunks(reader: BinaryIO) -> Iterator[bytes]:
    """The chunks of a chunked body. Raises ValueError if it breaks off."""
    while size := _chunk_size(reader.readline(64)):
        chunk = reader.read(size)
        if len(chunk) < size:
            raise ValueError("the stream is cut off")
        reader.readline(16)
        yield chunk


def _chunk_size(line: bytes) -> int:
    if not line:
        raise ValueError("the stream is cut off")
    return int(line.partition(b";")[0], 16)


def lines(chunks: Iterator[bytes]) -> Iterator[str]:
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line.decode()
