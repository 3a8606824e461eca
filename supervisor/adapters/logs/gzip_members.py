"""Compressed logs that can be read from the middle: gzip members (RFC 1952) of whole lines, each of known length.

`zcat` reads them as one file. An extra field in each member's header carries its compressed and its plain size, so that
a reader skips from header to header and unpacks only the members it needs.
"""

from __future__ import annotations

import os
import struct
import zlib
from bisect import bisect_right
from collections.abc import Iterator

_MEMBER = 256 * 1024  # plain bytes in a member, at most
_LEVEL = 6
# ID1 ID2 CM FLG MTIME XFL OS, XLEN, then the subfield: SI1 SI2 LEN, compressed and plain size of the member
_HEADER = struct.Struct("<4sIBBH2sHII")
_FIXED, _EXTRA_LENGTH, _SUBFIELD = b"\x1f\x8b\x08\x04", 12, b"SV"
_TRAILER = struct.Struct("<II")


def members(fd: int) -> Iterator[bytes]:
    """The content of plain file `fd` as gzip members. zlib releases the interpreter's lock while it compresses."""
    offset = 0
    while chunk := os.pread(fd, _MEMBER, offset):
        chunk = chunk[: chunk.rfind(b"\n") + 1] or chunk
        offset += len(chunk)
        packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        body = packer.compress(chunk) + packer.flush()
        size = _HEADER.size + len(body) + _TRAILER.size
        header = _HEADER.pack(_FIXED, 0, 0, 255, _EXTRA_LENGTH, _SUBFIELD, 8, size, len(chunk))
        yield header + body + _TRAILER.pack(zlib.crc32(chunk), len(chunk))


class GzipText:
    """Random access to a file that `members` wrote. It ends before a member that is torn or of another format."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._plain: list[int] = []  # offset of each member in the plain text
        self._packed: list[tuple[int, int]] = []  # offset of its body in the file, and the body's length
        self._unpacked = (-1, b"")
        self.size = position = 0
        while True:
            header = os.pread(fd, _HEADER.size, position)
            if len(header) < _HEADER.size:
                return
            fixed, _, _, _, _, subfield, _, packed, plain = _HEADER.unpack(header)
            if fixed != _FIXED or subfield != _SUBFIELD or packed <= _HEADER.size + _TRAILER.size:
                return
            self._plain.append(self.size)
            self._packed.append((position + _HEADER.size, packed - _HEADER.size - _TRAILER.size))
            self.size += plain
            position += packed

    def read(self, length: int, offset: int) -> bytes:
        """As os.pread: at most `length` bytes from `offset`; fewer only at the end."""
        parts = []
        while length > 0 and offset < self.size:
            i = bisect_right(self._plain, offset) - 1
            part = self._member(i)[offset - self._plain[i] :][:length]
            if not part:
                break
            parts.append(part)
            offset, length = offset + len(part), length - len(part)
        return b"".join(parts)

    def _member(self, i: int) -> bytes:
        if self._unpacked[0] != i:
            position, length = self._packed[i]
            try:
                self._unpacked = i, zlib.decompress(os.pread(self._fd, length, position), -zlib.MAX_WBITS)
            except zlib.error:
                self._unpacked = i, b""
        return self._unpacked[1]
