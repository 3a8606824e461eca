"""Trees of processes and of dependencies in lines."""

from __future__ import annotations

from typing import Any, cast

import pytest

from supervisor.display.process_tree import (
    ASCII,
    LINES,
    Branch,
    Family,
    Process,
    branches,
    cut,
    dependencies,
    following,
    prefix,
    process_lines,
    takes_lines,
)


def process(pid: int, depth: int, **more: Any) -> Process:
    made = {
        "pid": pid,
        "ppid": 1,
        "depth": depth,
        "role": "worker",
        "command": f"program {pid}",
        "state": "sleeping",
        "age_s": 61.0,
        "cpu_percent": 1.25,
        "cpu_s": 3.0,
        "rss_bytes": 2 << 20,
        "pss_bytes": None,
        "threads": 1,
        "notes": [],
    }
    return cast("Process", made | more)


def family(name: str | None, *processes: Process, says: str = "running, ready") -> Family:
    return {
        "instance": name,
        "service": name,
        "state": "running",
        "ready": True,
        "says": says,
        "processes": list(processes),
    }


WEB = family(
    "web",
    process(7, 0, role="main"),
    process(8, 1, state="blocked in I/O"),
    process(9, 2),
    process(123456, 1, notes=["own session", "outside its cgroup"]),
)


def test_children_stand_below_their_parents() -> None:
    assert process_lines([WEB, family("off", says="stopped")], ASCII) == [
        "   PID  ROLE    STATE             AGE  CPU%   RSS  COMMAND",
        "web  running, ready",
        "     7  main    sleeping        1m01s   1.2  2.0M  program 7",
        "     8  worker  blocked in I/O  1m01s   1.2  2.0M  |- program 8",
        "     9  worker  sleeping        1m01s   1.2  2.0M  |  `- program 9",
        "123456  worker  sleeping        1m01s   1.2  2.0M  `- (own session; outside its cgroup) program 123456",
        "off  stopped",
    ]  # fmt: skip


def test_a_command_is_cut_where_the_terminal_ends() -> None:
    lines = process_lines([WEB], LINES, width=80)
    assert max(map(len, lines)) == 80 and lines[-1].endswith("…")
    assert "├─ program 8" in lines[3] and "│  └─ program 9" in lines[4]
    assert all(len(line) < 80 for line in process_lines([WEB], LINES, width=30)[:5]), "a little is always left"


def test_control_characters_of_a_process_are_not_printed() -> None:
    (_, _, line) = process_lines([family("web", process(7, 0, command="a\x1b[2Jb"))], ASCII)
    assert line.endswith("a�[2Jb")


def test_of_a_command_of_several_lines_the_first_is_shown() -> None:
    (_, _, line) = process_lines([family("web", process(7, 0, command="python -c import os\n\nos.close(3)\n"))], ASCII)
    assert line.endswith("  python -c import os…")


def test_with_pss_the_column_says_so() -> None:
    head, _, first, second = process_lines([family("web", process(7, 0, pss_bytes=1 << 20), process(8, 0))], ASCII)
    assert head.split()[5] == "PSS"
    assert first.split()[5] == "1.0M" and second.split()[5] == "–", "that of the other may not be read"


def test_without_processes_there_is_no_head() -> None:
    assert process_lines([family(None, says="shop, pid 1")], ASCII) == ["daemon  shop, pid 1"]


@pytest.mark.parametrize(
    ("encoding", "takes"), [("utf-8", True), ("ascii", False), ("latin-1", False), ("?", False), (None, False)]
)
def test_where_lines_can_be_drawn(encoding: str | None, takes: bool) -> None:
    assert takes_lines(encoding) is takes


def test_prefixes() -> None:
    assert [prefix(levels, LINES) for levels in following([0, 1, 2, 1, 0])] == ["", "├─ ", "│  └─ ", "└─ ", ""]
    assert [prefix(levels, ASCII) for levels in following([0, 1, 2, 2])] == ["", "`- ", "   |- ", "   `- "]


def test_cut() -> None:
    assert cut("abc", 3) == "abc" and cut("abcd", 3) == "ab…" and cut("abc", 0) == "…"


def test_branches_are_in_the_order_of_a_drawing() -> None:
    found = branches({1: 0, 5: 1, 2: 1, 3: 2, 9: 9})
    assert found == [Branch(1, 0), Branch(5, 1), Branch(2, 1), Branch(3, 2), Branch(9, 0)]


def test_what_is_needed_twice_is_told_once() -> None:
    needs = {"web": ["api", "db"], "api": ["db"], "db": ["disk"]}
    assert [(one.name, one.depth, one.again) for one in dependencies(["web"], needs)] == [
        ("web", 0, False),
        ("api", 1, False),
        ("db", 2, False),
        ("disk", 3, False),
        ("db", 1, True),
    ]
    assert [one.name for one in dependencies(["a"], {"a": ["b"], "b": ["a"]})] == ["a", "b", "a"]
