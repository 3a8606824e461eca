"""Files that a command names and that were changed while its process ran."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from supervisor.programs.changed_files import changed_files


@pytest.mark.parametrize("word", ["{}/conf", "conf", "--config={}/conf", "--config=conf", "{}", "."])
def test_a_file_that_was_changed_during_the_run_is_found(word: str, tmp_path: Path) -> None:
    path = tmp_path / "conf"
    path.touch()
    os.utime(path, (100.0, 100.0))  # as after `cp -p`
    at = path.stat().st_ctime
    command = ["web", "-v", "", word.format(tmp_path), "-c", "none", "x" * 300, "\0"]
    assert changed_files(command, tmp_path, at - 1.0, at) == [(str(path), at)]
    assert changed_files(command, tmp_path, at, at + 1.0) == [], "it was so at the start"
    assert changed_files(command, tmp_path, at - 2.0, at - 1.0) == [], "it was changed again later"


def test_the_program_and_what_is_in_a_folder_below_are_left_out_and_five_are_told(tmp_path: Path) -> None:
    (tmp_path / "conf.d" / "below").mkdir(parents=True)
    (tmp_path / "web").touch()
    (tmp_path / "conf.d" / "below" / "file").touch()
    found = changed_files([f"{tmp_path}/web", "conf.d"], tmp_path, 0.0, 1e12)
    assert found == []
    for number in range(9):
        (tmp_path / "conf.d" / f"{number}.conf").touch()
    found = changed_files([f"{tmp_path}/web", "conf.d"], tmp_path, 0.0, 1e12)
    assert len(found) == 5 and found == sorted(found, key=lambda one: one[1])
