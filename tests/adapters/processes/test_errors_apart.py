"""Where a child's stderr leads, by each way of starting a process."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from supervisor.adapters.processes.spawn import Spawner
from supervisor.core.model.spec import ServiceSpec


@pytest.mark.parametrize("way", ["direct", "popen", "forked", "apart"])
@pytest.mark.parametrize("apart", [True, False])
def test_stderr_leads_to_its_own_descriptor(tmp_path: Path, way: str, apart: bool) -> None:
    spawner = Spawner(os.environ, "id", "/notify")
    command = ("sh", "-c", "echo out; echo bad >&2")
    umask = 0o22 if way == "popen" else None
    spec = ServiceSpec(name="web", command=command, directory="/", no_new_privileges=way == "forked", umask=umask)
    out, bad = tmp_path / "out", tmp_path / "bad"
    with out.open("wb") as output, bad.open("wb") as errors:
        errors_fd = errors.fileno() if apart else None
        if way == "apart":
            pid, report = spawner.spawn_apart(spec, "web", 1, output.fileno(), (), errors_fd)
            os.close(report)
        else:
            pid = spawner.spawn(spec, "web", 1, output.fileno(), (), errors_fd)
        assert os.waitpid(pid, 0)[1] == 0
    assert (out.read_text(), bad.read_text()) == (("out\n", "bad\n") if apart else ("out\nbad\n", ""))
