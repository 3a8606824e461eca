"""The rows of the status on a terminal: columns that fit, notes that go on, colour only where it is wanted."""

from __future__ import annotations

from supervisor.display.status_table import painted, table, unpainted
from tests.doubles.fake_client import status, view

LONG = "the disk of the database is full, and the file that was to be written is larger than what is left of it"


def test_a_long_note_goes_on_below_itself() -> None:
    found = status([view("web", status=LONG, status_age_s=1.0)])
    lines = table(found, 0, 100, unpainted).splitlines()
    assert all(len(line) <= 100 for line in lines)
    begin = lines[0].index("note")
    notes = [line[begin:].strip() for line in lines[2:] if line]
    assert " ".join(notes).startswith(LONG)
    assert all(not line[:begin].strip() for line in lines[3 : 3 + len(LONG) // (100 - begin)])


def test_a_narrow_terminal_keeps_what_matters_most() -> None:
    heads = [table(status([view("web")]), 0, width, unpainted).splitlines()[0].split() for width in (200, 55, 40)]
    assert len(heads[0]) > len(heads[1]) > len(heads[2])
    assert {"name", "state", "note"} <= set(heads[2])


def test_it_is_painted_only_where_that_is_wanted() -> None:
    rows = status([view("web"), view("db", "failed", ready=False)])
    assert "\x1b[1;31mfailed" in table(rows, 1, 120, painted)
    assert "1 should be up but is not" in table(rows, 1, 120, painted)
    assert "\x1b" not in table(rows, 1, 120, unpainted)
