"""Runs one hook (`python -m supervisor.adapters.hooks.runner`) in a process of its own, apart from supervision.

The job comes as JSON on stdin: `{"run": [...], "directory": "…"}` or `{"notify": "apprise://…"}`, and `"event": {...}`.
It is tried up to three times. Exits with 0, or with 1 and the reason as the last line of stderr. It has no timeout of
its own: the caller kills the whole process group when it takes too long.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from tenacity import Retrying, retry_if_not_exception_type, stop_after_attempt, wait_exponential_jitter

if TYPE_CHECKING:
    from supervisor.core.model.documents import Event

ATTEMPTS = 3
FIRST_WAIT, LONGEST_WAIT = 0.5, 5.0
"""Seconds between attempts: exponential, with jitter."""


class HookFailed(Exception):
    """An attempt failed; another may succeed."""


class HookImpossible(Exception):
    """The hook cannot succeed, so that no further attempt is made."""


def run_job(job: dict[str, Any], wait: Any = None) -> None:
    """Carry out a job. Raises the last attempt's HookFailed, or HookImpossible."""
    attempts = Retrying(
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait or wait_exponential_jitter(FIRST_WAIT, LONGEST_WAIT),
        retry=retry_if_not_exception_type(HookImpossible),
        reraise=True,
    )
    if "run" in job:
        attempts(run_command, job["run"], job.get("directory"), job["event"])
    else:
        attempts(send_notification, job["notify"], job["event"])


def run_command(argv: list[str], directory: str | None, event: Event) -> None:
    """Run the command with the event as one line of JSON on its stdin. Raises HookFailed unless it exits with 0.

    Its output goes to a file in memory: a pipe would be open until the last child that it leaves behind has ended."""
    with open(os.memfd_create("output", os.MFD_CLOEXEC), "wb") as output:
        try:
            process = subprocess.run(
                argv,
                input=json.dumps(event).encode() + b"\n",
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=directory,
                check=False,
            )
        except OSError as error:
            raise HookImpossible(f"{argv[0]}: {error.strerror}") from None
        written = os.fstat(output.fileno()).st_size
        last = os.pread(output.fileno(), 4096, max(0, written - 4096))
    if process.returncode:
        lines = last.decode(errors="replace").split("\n")
        said = next((line.strip()[:200] for line in reversed(lines) if line.strip()), "")
        ending = f"exit code {process.returncode}" if process.returncode > 0 else f"signal {-process.returncode}"
        raise HookFailed(f"{argv[0]}: {ending}" + (f": {said}" if said else ""))


def send_notification(url: str, event: Event) -> None:
    """Send a message about the event to an Apprise URL."""
    try:
        import apprise
    except ImportError:
        raise HookImpossible('Apprise is not installed: pip install "phi-supervisor[notify]"') from None
    apprise.logger.setLevel("CRITICAL")  # it would print the URL with its password
    sender = apprise.Apprise()
    if not sender.add(url):
        raise HookImpossible(f"{url.partition(':')[0]}: is not a usable Apprise URL")
    if not sender.notify(title=title(event), body=body(event)):
        raise HookFailed(f"{url.partition(':')[0]}: the notification could not be delivered")


def title(event: Event) -> str:
    """The subject of a notification: `worker@1: suspect (heartbeat-silent)`."""
    return f"{event.get('instance')}: {event.get('to')} ({event.get('cause')})"


def body(event: Event) -> str:
    """The text of a notification: a few lines, short enough for a telephone."""
    detail = event.get("detail") or {}
    lines = [f"{event.get('from')} → {event.get('to')}, run {event.get('incarnation')}, {event.get('at')}"]
    lines += [f"{key}: {value}" for key, value in detail.items() if isinstance(value, str | int | float | bool)]
    return "\n".join(lines)


def main() -> int:
    """Run the job on stdin. Exit code: 0 done, 1 failed."""
    try:
        run_job(json.load(sys.stdin))
    except (HookFailed, HookImpossible) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
