"""Which project a file belongs to: by its folder, wherever that is, and by what daemons wrote in their directories."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from supervisor.config.source import project
from supervisor.config.source.project import SOURCE, default_name, find_name, folder_identity, folder_name, known_as


def make(folder: Path) -> Path:
    folder.mkdir(parents=True)
    file = folder / "services.toml"
    file.touch()
    return file


def run_by(place: Path, file: Path) -> None:
    """What a daemon that runs `file` writes into its directory."""
    place.mkdir(parents=True, exist_ok=True)
    (place / SOURCE).write_text(f"{folder_identity(str(file.parent))}\n{file}\n")


@pytest.fixture
def parents(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "run", tmp_path / "state"


@pytest.mark.parametrize(
    ("folder", "name"), [("/srv/my app", "my-app"), ("/", "default"), ("/srv/..x..", "x"), ("/srv/é", "default")]
)
def test_a_folder_gives_its_name(folder: str, name: str) -> None:
    file = Path(folder) / "services.toml"
    assert folder_name(str(file)) == name
    assert default_name(str(file)).rpartition("-")[0] == name


def test_a_name_leaves_room_for_sockets() -> None:
    assert len(default_name(str(Path("/srv/" + "x" * 200 + "/services.toml")))) <= 64


def test_two_folders_of_one_name_are_two_projects(tmp_path: Path, parents: tuple[Path, Path]) -> None:
    one, other = make(tmp_path / "p1" / "app"), make(tmp_path / "p2" / "app")
    assert find_name(str(one), [*map(str, parents)]) != find_name(str(other), [*map(str, parents)])
    run_by(parents[0] / find_name(str(one), [*map(str, parents)]), one)
    assert find_name(str(one), [*map(str, parents)]) != find_name(str(other), [*map(str, parents)])
    assert known_as(str(other), [str(parents[0] / find_name(str(one), [*map(str, parents)]))]) == str(other)


@pytest.mark.parametrize("where", [0, 1])
def test_a_folder_that_was_moved_keeps_its_daemon(tmp_path: Path, parents: tuple[Path, Path], where: int) -> None:
    before = make(tmp_path / "p1" / "app")
    name = default_name(str(before))
    run_by(parents[where] / name, before)
    (tmp_path / "p1").rename(tmp_path / "p2")
    after = tmp_path / "p2" / "app" / "services.toml"
    assert find_name(str(after), [*map(str, parents)]) == name
    assert known_as(str(after), [str(parents[where] / name)]) == str(before)
    assert find_name(str(after.with_name("other.toml")), [*map(str, parents)]) == default_name(str(after))


def test_a_folder_put_in_its_place_is_the_same_project(tmp_path: Path, parents: tuple[Path, Path]) -> None:
    """A deploy removes the folder and makes it again; one that was moved there has its own daemon."""
    file = make(tmp_path / "app")
    name = default_name(str(file))
    run_by(parents[0] / name, file)
    (tmp_path / "app").rename(tmp_path / "old")
    assert make(tmp_path / "app") == file
    assert find_name(str(file), [*map(str, parents)]) == name
    old = tmp_path / "old" / "services.toml"
    assert find_name(str(old), [*map(str, parents)]) == name
    assert known_as(str(old), [str(parents[0] / name)]) == str(old), "the daemon would read the file that is there now"
    another = make(tmp_path / "another")
    run_by(parents[0] / default_name(str(another)), another)
    (tmp_path / "app").rename(tmp_path / "older")
    (tmp_path / "another").rename(tmp_path / "app")
    assert find_name(str(file), [*map(str, parents)]) == default_name(str(another))


def test_a_number_that_is_used_again_is_no_moved_folder(
    tmp_path: Path, parents: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """File systems give the number of a removed folder to the next one."""
    removed, fresh = make(tmp_path / "removed"), make(tmp_path / "fresh")
    place = parents[0] / default_name(str(removed))
    monkeypatch.setattr(project, "_born", lambda folder: 1)
    place.mkdir(parents=True)
    (place / SOURCE).write_text(f"{folder_identity(str(fresh.parent))}\n{removed}\n")
    assert find_name(str(fresh), [*map(str, parents)]) == default_name(str(removed))
    monkeypatch.setattr(project, "_born", lambda folder: 2)
    assert find_name(str(fresh), [*map(str, parents)]) == default_name(str(fresh))


def test_the_link_to_a_release_is_the_project_of_the_release(tmp_path: Path, parents: tuple[Path, Path]) -> None:
    release = make(tmp_path / "releases" / "1")
    (tmp_path / "current").symlink_to(release.parent)
    linked = tmp_path / "current" / "services.toml"
    run_by(parents[0] / default_name(str(linked)), linked)
    assert find_name(str(release), [*map(str, parents)]) == default_name(str(linked))
    assert known_as(str(release), [str(parents[0] / default_name(str(linked)))]) == str(linked)


def test_what_a_daemon_of_an_earlier_version_left_is_found_on(tmp_path: Path, parents: tuple[Path, Path]) -> None:
    """It did not write which file it ran, and named the project as the folder."""
    one, other = make(tmp_path / "p1" / "app"), make(tmp_path / "p2" / "app")
    (parents[1] / "app").mkdir(parents=True)
    assert find_name(str(one), [*map(str, parents)]) == "app"  # after a boot: no file says otherwise
    (parents[0] / "app").mkdir(parents=True)
    assert find_name(str(one), [*map(str, parents)]) == "app"  # systemd made the directory
    (parents[0] / "app" / "plan.json").write_text(json.dumps({"supervisor": {}, "services": [], "path": str(one)}))
    assert find_name(str(one), [*map(str, parents)]) == "app"
    assert find_name(str(other), [*map(str, parents)]) == default_name(str(other))
    (tmp_path / "link").symlink_to(one.parent)
    assert find_name(str(tmp_path / "link" / "services.toml"), [*map(str, parents)]) == "app"
    run_by(parents[1] / "app", one)  # a daemon of this version went on with it
    assert find_name(str(one), [*map(str, parents)]) == "app"
    assert find_name(str(other), [*map(str, parents)]) == default_name(str(other))


@pytest.mark.parametrize("content", ["", "x", "1:2:3\n", "1:2:3\n\n\n", "\x00\n\x00"])
def test_what_cannot_be_read_says_nothing(tmp_path: Path, parents: tuple[Path, Path], content: str) -> None:
    file = make(tmp_path / "app")
    for name in ("x", default_name(str(file))):
        (parents[0] / name).mkdir(parents=True)
        (parents[0] / name / SOURCE).write_text(content)
    assert find_name(str(file), [*map(str, parents)]) == default_name(str(file))
    assert folder_identity(str(tmp_path / "gone")) == ""
