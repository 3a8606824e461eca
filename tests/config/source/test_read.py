"""A file is read as what it is when it is opened."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from supervisor.config.source.read import read_text
from supervisor.errors import ConfigError


def test_a_pipe_that_takes_the_place_of_a_file_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, pipe = tmp_path / "file", tmp_path / "pipe"
    file.write_text("")
    os.mkfifo(pipe)
    before, real = file.stat(), Path.stat
    monkeypatch.setattr(Path, "stat", lambda path, **_: before if path == pipe else real(path))
    said: list[str] = []

    def read() -> None:
        try:
            read_text(pipe)
        except ConfigError as error:
            said.append(error.message)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(30)
    assert said == [f"{pipe} is not a regular file"]
