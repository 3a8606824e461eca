"""Large files: twice the size takes twice the steps; what grows by aliases is refused before it grows."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from supervisor.config.importers.formats import read_files
from supervisor.config.importers.imported import ImportRefused
from supervisor.config.importers.services_toml import services_toml

HERE = "/config/importers/"


def procfile(count: int) -> str:
    return "".join(f"p{number}: sleep {number}\n indented: x\n" for number in range(count))


def one_name(count: int) -> str:
    return "web: sleep 1\n" * count


def circus(count: int) -> str:
    return "".join(f"[watcher:w{n}]\ncmd = sleep {n}\n[env:w{n}]\nA = {n}\n" for n in range(count))


def compose(count: int) -> str:
    services = (f"  w{n}:\n    image: x\n    command: sleep 1\n    depends_on: [w{n - 1}]\n" for n in range(1, count))
    return "services:\n  w0: {image: x, command: sleep 1}\n" + "".join(services)


def pm2(count: int) -> str:
    return "[" + ",\n".join(f'{{name: "w{n}", script: "/bin/sleep", args: "1"}}' for n in range(count)) + "]"


def supervisord(count: int) -> str:
    return "".join(f"[program:w{n}]\ncommand=sleep {n}\npriority={n}\n" for n in range(count))


@contextmanager
def counted() -> Iterator[list[int]]:
    """Count the lines that the importers execute, each turn of a comprehension as one."""
    found = [0]

    def line(_frame: FrameType, event: str, _argument: Any) -> Any:
        found[0] += event == "line"
        return line

    def call(frame: FrameType, _event: str, _argument: Any) -> Any:
        return line if HERE in frame.f_code.co_filename else None

    before = sys.gettrace()
    sys.settrace(call)
    try:
        yield found
    finally:
        sys.settrace(before)


def steps(folder: Path, name: str, text: str) -> int:
    path = folder / name
    path.write_text(text)
    with counted() as found:
        imported = read_files([path], {"PATH": "/bin:/usr/bin"})
        assert services_toml(imported, "init")
    return found[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("Procfile", procfile),
        ("Procfile", one_name),
        ("circus.ini", circus),
        ("compose.yaml", compose),
        ("ecosystem.json", pm2),
        ("supervisord.conf", supervisord),
    ],
)
def test_twice_the_size_takes_twice_the_steps(name: str, written: Callable[[int], str], tmp_path: Path) -> None:
    few, many = (steps(tmp_path, name, written(count)) for count in (60, 240))
    assert many < 4.4 * few


NESTED = "x-0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"x-{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]\n" for level in range(1, 9)
)
MERGED = "x-0: &a0 {k: 1}\n" + "".join(
    f"x-{level}: &a{level} {{<<: [{', '.join([f'*a{level - 1}'] * 9)}]}}\n" for level in range(1, 9)
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "told"),
    [
        (NESTED, ":6: its aliases make more than 200000 values of the file"),
        (MERGED, "its aliases make more than 200000 values of the file"),
        ("x-a: &a\n  b:\n    - *a\n", ":1: an alias stands within the value that it means"),
        ("x-a: " + "[" * 3000, ": its values are nested too deeply"),
    ],
)
def test_aliases_that_grow_are_refused_before_they_do(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "compose.yaml"
    path.write_text(f"{text}services:\n  web: {{image: x, command: run}}\n")
    with pytest.raises(ImportRefused) as refused:
        read_files([path], {})
    assert told in refused.value.message
