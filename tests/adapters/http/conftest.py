"""A folder that other users can reach, and their requests."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_ASK = """
import os, socket, sys
groups = [int(word) for word in sys.argv[2].split(",")]
os.setgroups(groups[1:]); os.setgid(groups[0]); os.setuid(65534)
s = socket.socket(socket.AF_UNIX); s.settimeout(30)
try:
    s.connect(sys.argv[1])
except PermissionError:
    print("refused by the mode"); sys.exit()
try:
    s.sendall(b"GET /a HTTP/1.1\\r\\nhost: x\\r\\n\\r\\n")
except BrokenPipeError:
    pass  # who is refused and takes more than a second to ask finds the answer all the same
print(s.recv(4096).decode())
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Not below tmp_path: each pytest that begins closes the folder of all runs to other users again."""
    with tempfile.TemporaryDirectory(prefix="phi-") as place:
        Path(place).chmod(0o711)
        yield Path(place)


def asked_by_nobody(path: str, groups: str = "65534") -> str:
    """What a process of user 65534 gets from the server; `groups` are numbers, its own first."""
    ask = [sys.executable, "-S", "-c", _ASK, path, groups]
    done = subprocess.run(ask, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout
