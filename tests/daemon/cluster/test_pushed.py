"""The versions of the configuration that a host keeps on disk."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from supervisor.config.pushed import Kept, kept
from supervisor.core.cluster.version_documents import DIRECTORY, VERSION, digest_of
from supervisor.core.model.spec import Plan, SupervisorSpec
from supervisor.core.services.pushed import Change
from supervisor.core.services.service_set import ServiceSet
from supervisor.daemon.cluster import pushed
from supervisor.daemon.cluster.pushed import OWN_FILE, PushedConfiguration, _Files
from supervisor.daemon.parts import Parts
from supervisor.errors import OperationFailed

ONE, TWO = (1, digest_of("one")), (2, digest_of("two"))
CHANGE = Change(("web",), ("api",), {"web": 3})


def test_a_version_is_kept_before_it_is_chosen_and_the_compiler_finds_it(tmp_path: Path) -> None:
    files = _Files(str(tmp_path / DIRECTORY))
    assert not files.has(ONE) and files.change(ONE) is None
    path = files.write(ONE, "one")
    assert files.has(ONE) and kept(str(tmp_path)) is None, "it is not chosen yet"
    assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600 and stat.S_IMODE(Path(path).parent.stat().st_mode) == 0o700
    files.choose(ONE, CHANGE)
    assert kept(str(tmp_path)) == Kept(*ONE, path)
    assert files.change(TWO) is None and files.change(ONE) == CHANGE, (
        "for the next daemon, where this one does not see the end of it"
    )
    files.choose(ONE, None)
    assert files.change(ONE) is None and kept(str(tmp_path)) == Kept(*ONE, path)


def test_texts_of_other_versions_go_when_a_change_has_ended(tmp_path: Path) -> None:
    files = _Files(str(tmp_path / DIRECTORY))
    one = files.write(ONE, "one")
    files.choose(ONE, None)
    two = files.write(TWO, "two")
    files.choose(TWO, CHANGE)
    assert Path(one).exists(), "it may be gone back to"
    files.choose(TWO, None)
    assert not Path(one).exists() and Path(two).exists()
    files.choose(OWN_FILE, None)
    assert kept(str(tmp_path)) is None and not Path(two).exists()
    files.choose(OWN_FILE, None)


def test_a_text_stays_as_it_is(tmp_path: Path) -> None:
    files = _Files(str(tmp_path / DIRECTORY))
    text = "# é\r\n\n"
    version = 3, digest_of(text)
    files.write(version, text)
    files.choose(version, None)
    assert files.has(version) and kept(str(tmp_path)) is not None


def test_what_is_damaged_is_not_there(tmp_path: Path) -> None:
    files = _Files(str(tmp_path / DIRECTORY))
    path = Path(files.write(ONE, "one"))
    path.write_text("other")
    assert not files.has(ONE)
    files.write(ONE, "one")
    assert files.has(ONE)
    damaged: list[object] = ["x", [], {"replaced": [], "rolled": [], "before": {"web": "x"}}]
    for change in damaged:
        (path.parent / VERSION).write_text(json.dumps({"number": 1, "digest": ONE[1], "change": change}))
        assert files.change(ONE) is None


def test_no_half_of_a_text_is_left_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = _Files(str(tmp_path / DIRECTORY))

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        files.write(ONE, "one")
    assert list((tmp_path / DIRECTORY).iterdir()) == []


class Held:
    """A daemon in which a service is rolled out when a version is told; its rollout ends later."""

    def __init__(self, state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.timers: list[Callable[[], None]] = []
        self.said: list[str] = []
        self.rolling, self.applied = True, 0
        self.service_set = ServiceSet(Plan(supervisor=SupervisorSpec(), services=()), lambda: 0.5)
        self.state_dir = str(state_dir)
        self.loop = SimpleNamespace(call_at=self.call_at)
        monkeypatch.setattr(pushed, "apply_edits", self.apply)
        monkeypatch.setattr(pushed, "compile_file", lambda _loop, _path, done, _options: done(self.service_set.plan))
        monkeypatch.setattr(pushed, "StatusView", lambda _parts: SimpleNamespace(status=lambda: {"instances": []}))

    def now(self) -> float:
        return 0.0

    def call_at(self, _when: float, callback: Callable[[], None]) -> SimpleNamespace:
        self.timers.append(callback)
        return SimpleNamespace(cancel=lambda: self.timers.remove(callback) if callback in self.timers else None)

    def say(self, level: str, text: str) -> None:
        self.said.append(f"{level}: {text}")

    def apply(self, *_arguments: object) -> object:
        if self.rolling:
            return OperationFailed("web is being rolled out")
        self.applied += 1
        return {"added": [], "restarted": [], "rolled": []}

    def word(self, version: tuple[int, str], text: str = "", **more: bool) -> Any:
        return {"turn": {"number": version[0], "digest": version[1], "seq": 1}, "text": text, **more}


def test_a_version_that_waited_for_a_rollout_is_there_for_the_next_daemon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = Held(tmp_path, monkeypatch)
    runs = PushedConfiguration(cast("Parts", parts), lambda: None)
    runs.heard(parts.word(ONE, "one"))
    assert runs.answer()["health"] == "changing" and kept(str(tmp_path)) is None
    assert runs.answer()["plan"] == (0, "") and runs.answer()["number"] == 1
    parts.rolling = False
    parts.timers.pop()()
    assert runs.answer()["health"] == "ready" and parts.applied == 1 and runs.answer()["plan"] == ONE
    assert kept(str(tmp_path)) is not None, "else the next daemon runs its own file"
    assert "text" not in runs.answer()
    runs.heard(parts.word(ONE, keep=True))
    assert runs.answer()["text"] == "one"
    (tmp_path / DIRECTORY / f"1-{ONE[1]}.toml").unlink()
    assert runs.answer()["text"] == ""


def test_a_version_that_is_told_again_is_tried_once_and_not_by_a_daemon_that_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = Held(tmp_path, monkeypatch)
    runs = PushedConfiguration(cast("Parts", parts), lambda: None)
    for version, text in ((ONE, "one"), (TWO, "two"), (ONE, "one")):
        runs.heard(parts.word(version, text))
    assert len(parts.timers) == 1, "the attempts for what was told before are over"
    parts.rolling, parts.service_set.closing = False, True
    parts.timers.pop()()
    assert parts.applied == 0 and parts.timers == []


def returning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Held, PushedConfiguration, list[bool]]:
    """A host that was told a version, and then to go back to its own file; what is judged of each change."""
    parts, verdicts = Held(tmp_path, monkeypatch), [True]
    parts.rolling = False
    monkeypatch.setattr(pushed, "judged", lambda *_arguments: verdicts[-1])
    runs = PushedConfiguration(cast("Parts", parts), lambda: None)
    runs.heard(parts.word(ONE, "one"))
    assert runs.answer()["health"] == "ready"
    verdicts.append(False)
    return parts, runs, verdicts


def test_a_daemon_that_dies_while_it_goes_back_to_its_own_file_is_followed_by_one_that_watches_that_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it says at once that all is ready, and the push counts as rolled back although nothing may run."""
    parts, runs, verdicts = returning(tmp_path, monkeypatch)
    runs.heard(parts.word(OWN_FILE))
    assert runs.answer()["health"] == "changing" and kept(str(tmp_path)) is None
    parts.timers.clear()
    following = PushedConfiguration(cast("Parts", parts), lambda: None)
    following.heard(parts.word(OWN_FILE))
    assert (following.answer()["number"], following.answer()["health"]) == (0, "changing")
    verdicts.append(True)
    parts.timers.pop()()
    assert following.answer()["health"] == "ready" and not (tmp_path / DIRECTORY / VERSION).exists()
    assert PushedConfiguration(cast("Parts", parts), lambda: None).answer()["health"] == "ready"


def test_a_host_goes_back_to_its_own_file_on_a_full_disk_and_says_what_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts, runs, _ = returning(tmp_path, monkeypatch)

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    runs.heard(parts.word(OWN_FILE))
    assert runs.answer()["health"] == "changing" and kept(str(tmp_path)) is None
    assert "no space left on device; a daemon that starts before its end does not watch it on" in parts.said[-1]
