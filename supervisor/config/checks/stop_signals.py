"""Points out signals by which a stop cannot go as it is written.

They are allowed, because the stop ends with SIGKILL all the same, so that these are notes, not problems.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator

from supervisor.config.source.key_path import Key
from supervisor.core.model.spec import ServiceSpec
from supervisor.core.text.units import span


def stop_signal_notes(spec: ServiceSpec) -> Iterator[tuple[Key, str]]:
    """(key, note) of SIGSTOP and SIGKILL as `stop_signal`, or as a step of `stop`."""
    for number, step in enumerate(spec.stop_steps, 1):
        key: Key = ("services", spec.name, *(("stop", number - 1, "signal") if spec.stop else ("stop_signal",)))
        if step.signal == signal.SIGSTOP:
            yield key, f"SIGSTOP ends no process: the stop waits {span(step.wait)} for nothing"
        elif step.signal == signal.SIGKILL:
            rest = "; no later step is reached" if number < len(spec.stop_steps) else ""
            yield key, f"SIGKILL ends the process at once: it cannot finish or save anything{rest}"
