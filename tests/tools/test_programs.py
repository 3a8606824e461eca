"""`scripts/programs`: what it says of a name that no recipe has; and that the book has what the recipes run."""

from __future__ import annotations

import tomllib

import pytest

from scripts.tools.programs.__main__ import HERE, main
from supervisor.programs.book import BOOK, read, recognized

RECIPES = {
    name: recipe
    for file in sorted((HERE / "recipes").glob("*.toml"))
    for name, recipe in tomllib.loads(file.read_text()).items()
}


@pytest.mark.parametrize(
    ("name", "said"),
    [("ngnix", 'no such program: ngnix; did you mean "nginx"?\n'), ("xyzzyq", "no such program: xyzzyq (known: ")],
)
def test_an_unknown_program(
    name: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["scripts/programs", "--only", name])
    with pytest.raises(SystemExit):
        main()
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("name", [name for name in RECIPES if read(BOOK / f"{name}.toml").names])
def test_what_is_measured_is_found_in_the_book_by_its_command(name: str) -> None:
    """But of a command that a shell runs."""
    found = recognized(RECIPES[name]["command"])
    assert "sh" in RECIPES[name]["command"] or (found is not None and found[0] == read(BOOK / f"{name}.toml"))
