"""Commands in lines that HAProxy takes."""

from __future__ import annotations

from supervisor.core.balancing.command_lines import LONGEST_LINE, batches
from supervisor.core.balancing.haproxy_config import words
from supervisor.core.balancing.slots import Command


def test_each_command_stands_in_one_line_in_order_and_no_line_is_too_long() -> None:
    commands = [Command(number, ready=number % 2 == 0) for number in range(1000)]
    lines = list(batches("web", commands))
    assert [command for line in lines for command in line] == commands
    lengths = [len(";".join(words("web", command) for command in line)) for line in lines]
    assert max(lengths) <= LONGEST_LINE and min(lengths[:-1]) > LONGEST_LINE / 2


def test_without_commands_there_is_no_line() -> None:
    assert list(batches("web", [])) == []
