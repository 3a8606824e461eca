"""A short-lived child of our own whose output is wanted whole: the compiler, the rehearsal of an upgrade."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from functools import partial

from supervisor.adapters.eventloop.loop import Reactor


def run_child(
    reactor: Reactor, child: subprocess.Popen[bytes], within: float, done: Callable[[int, bytes, bytes], None]
) -> None:
    """Gather stdout and stderr (both pipes) without waiting for either; `done(exit code, out, err)` when both have
    ended.  Killed where that takes longer than `within` seconds."""
    assert child.stdout is not None
    assert child.stderr is not None
    out, err = child.stdout.fileno(), child.stderr.fileno()
    gathered = {out: b"", err: b""}
    still_open = {out, err}
    timer = reactor.call_at(reactor.now() + within, child.kill)

    def ready(fd: int, _events: int) -> None:
        data = os.read(fd, 1 << 16)
        gathered[fd] += data
        if data:
            return
        reactor.unregister(fd)
        still_open.discard(fd)
        if not still_open:
            timer.cancel()
            child.communicate()
            done(child.returncode, gathered[out], gathered[err])

    for fd in (out, err):
        reactor.register(fd, partial(ready, fd))
