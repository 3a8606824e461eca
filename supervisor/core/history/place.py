"""Says in one sentence where a suspect was when it was examined: `hangs at moody.py:31 in work()`.

It is read from the evidence of the ledger, so it is there for old entries as well.  The line of the program's own code
says most.  Without a stack, the kernel function in which the main thread sleeps says what it waits for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from supervisor.core.model.causes import Cause
from supervisor.core.text.stacks import Frame, frames, innermost, is_own_code

if TYPE_CHECKING:
    from supervisor.core.model.evidence_documents import Evidence, ExaminedProcess


_HANGS = (Cause.SILENT, Cause.TRIGGERED)
_CHILD = ("do_wait", "kernel_wait")
_WAITS: Mapping[str, tuple[str, ...]] = {
    "a lock": ("futex", "do_futex"),
    "a sleep": ("hrtimer_nanosleep", "do_nanosleep", "common_nsleep"),
    "events of its files and sockets": (
        "ep_poll",
        "do_epoll_wait",
        "do_poll",
        "do_sys_poll",
        "do_select",
        "poll_sched",
    ),
    "something to read from a pipe": ("pipe_read", "anon_pipe_read"),
    "room in a full pipe": ("pipe_write", "anon_pipe_write"),
    "a connection": ("inet_csk_accept", "unix_accept"),
    "a socket": ("wait_woken", "sk_wait_data", "sk_stream_wait", "tcp_", "unix_stream", "__skb_wait"),
    "the terminal": ("n_tty_read",),
    "a signal": ("do_sigtimedwait", "sigsuspend"),
    "a child process": _CHILD,
    "a file lock": ("fcntl_setlk", "flock_lock", "locks_lock"),
    "a disk": ("io_schedule", "folio_wait", "wait_on_page", "blkdev_"),
    "a file server": ("nfs", "rpc_wait"),
    "a FUSE file system": ("fuse_", "request_wait_answer"),
}
"""What a thread waits for, with the beginnings of the kernel functions in which it sleeps then."""
NO_PY_SPY = "install py-spy to see the line of Python code: pip install 'phi-supervisor[stacks]'"
NO_PERMISSION = (
    "py-spy may not read this process: run the daemon as root, or let the program call faulthandler.register() and name"
    " the signal in dump_signal"
)


def place(cause: str, evidence: Evidence | None) -> str | None:
    """`hangs at FILE:LINE in FUNCTION()`, else `waits in KERNEL_FUNCTION (what that means)`; None where the evidence
    does not tell."""
    if evidence is None:
        return None
    hangs = cause in _HANGS
    frame = _frame(evidence)
    if frame is not None:
        called = frame.function if frame.function.endswith(">") else f"{frame.function}()"
        return f"{'hangs' if hangs else 'was'} at {frame.place}" + ("" if called == "<module>" else f" in {called}")
    kernel = _kernel_function(evidence.get("processes") or [])
    if kernel is None:
        return None
    waited_for = next((what for what, begins in _WAITS.items() if kernel.startswith(begins)), "")
    return f"{'waits' if hangs else 'waited'} in {kernel}" + (f" (for {waited_for})" if waited_for else "")


def advice(evidence: Evidence) -> str | None:
    """What to do so that the next evidence has the line of the program's code; None where nothing is missing."""
    stacks = evidence.get("stacks") or []
    if any("permission" in str(stack.get("error") or "").lower() for stack in stacks):
        return NO_PERMISSION
    python = any(_is_python(process) for process in evidence.get("processes") or [])
    return NO_PY_SPY if python and not stacks and not evidence.get("held") else None


def _frame(evidence: Evidence) -> Frame | None:
    """Of the first process whose own code is on its stack, because the others only start it or wait for it."""
    every = [frames(stack.get("lines") or []) for stack in evidence.get("stacks") or []]
    told = [stack for stack in every if stack]
    return innermost(next((stack for stack in told if any(map(is_own_code, stack))), told[0] if told else []))


def _kernel_function(processes: list[ExaminedProcess]) -> str | None:
    """What the main thread of the first process sleeps in; a process that only waits for its children is passed over
    where there are others."""
    found = [function for process in processes if (function := _waits_in(process)) is not None]
    return next((function for function in found if not function.startswith(_CHILD)), found[0] if found else None)


def _waits_in(process: ExaminedProcess) -> str | None:
    threads = process.get("threads") or []
    main = next((thread for thread in threads if thread.get("tid") == process.get("pid")), None)
    if main is None or main.get("state") not in ("S", "D"):
        return None
    stack = main.get("stack") or []
    return main.get("waits_in") or (stack[0].partition("+")[0] if stack else None)


def _is_python(process: ExaminedProcess) -> bool:
    program = (process.get("command") or "").partition(" ")[0].rpartition("/")[2]
    return (process.get("name") or "").startswith("python") or program.startswith("python")
