"""Freed memory is returned to the kernel."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from supervisor.adapters.linux.heap import give_back
from supervisor.daemon import runtime

BLOCK, BLOCKS = 4096, 4000


def anonymous() -> int:
    """Bytes of this process's own memory."""
    found = re.search(r"^Anonymous: +(\d+) kB", Path("/proc/self/smaps_rollup").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="another C library than glibc")
def test_what_lies_between_blocks_in_use_is_given_back() -> None:
    blocks = [b"x" * (BLOCK + n % 2) for n in range(BLOCKS)]
    kept = blocks[::100]
    blocks.clear()
    before = anonymous()
    give_back()
    assert before - anonymous() > BLOCK * BLOCKS // 2
    assert len(kept) == BLOCKS // 100


def test_a_daemon_does_so_once_it_is_ready_for_its_first_client(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    daemon = SimpleNamespace(_parts=SimpleNamespace(server=SimpleNamespace(warm_up=lambda: done.append("warm"))))
    monkeypatch.setattr(runtime, "give_back", lambda: done.append("given back"))
    runtime.Runtime._warm_up(cast("Any", daemon))
    assert done == ["warm", "given back"]
