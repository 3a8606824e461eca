"""The mutation tool finds what a test asserts, and reports what no test does, on a tiny package."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path

import pytest

from scripts.tools.mutation import __main__ as command
from scripts.tools.mutation import campaign
from scripts.tools.mutation.concerned import concerned
from scripts.tools.mutation.lines import Lines, lines_of
from scripts.tools.mutation.places import Place, places
from scripts.tools.mutation.trial import Result, Stage

RULES = '''"""Text is not changed."""

class Counter:
    __slots__ = ("left", "seen")

    def __init__(self) -> None:
        self.left = 3
        self.seen = False

    def count(self) -> bool:
        self.seen = True
        while self.left > 0:
            self.left -= 1
        return self.left == 0 and self.seen
'''
TESTS = """from pkg.rules import Counter

def test_it_counts() -> None:
    counter = Counter()
    assert counter.count()
"""
UNRELATED = "def test_nothing() -> None: ...\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in (
        ("pkg/__init__.py", ""),
        ("pkg/rules.py", RULES),
        ("tests/test_rules.py", TESTS),
        ("tests/test_unrelated.py", UNRELATED),
    ):
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "tree"


PYTEST = ["-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]


def stage() -> Stage:
    """All tests, for each change."""
    return Stage("core", lambda root, place, lines: [*PYTEST, "tests"], limit_s=5)


def measured_stage(asked: list[list[str]]) -> Stage:
    """The tests that run the line of a change; they are also put into `asked`."""

    def arguments(root: Path, place: Place | None, lines: Lines | None) -> list[str]:
        if place is None:
            return [*PYTEST, "tests"]
        asked.append(concerned(root, place, ["tests"], lines))
        return [*PYTEST, *asked[-1]] if asked[-1] else []

    return Stage(
        "core", arguments, lambda all_tests: [*all_tests, "--cov=pkg", "--cov-context=test", "--cov-report="], 5
    )


def tried(root: Path, *kinds: str, stage: Stage = stage()) -> dict[str, Result]:  # noqa: B008
    todo = [p for p in campaign.all_places(root, ["pkg/rules.py"]) if p.kind in kinds]
    found: list[Result] = []
    campaign.run(root, todo, [stage], 1, found.append)
    return {f"{result.line} → {result.text}": result for result in found}


def test_what_a_test_asserts_is_found_and_what_none_does_survives(root: Path) -> None:
    results = tried(root, "true-false", "drop")
    assert {what: bool(result.found_by) for what, result in results.items()} == {
        "self.seen = False → (True)": False,
        "self.seen = True → pass": True,
        "self.seen = True → (False)": True,
        "self.left -= 1 → pass": True,
    }
    assert results["self.seen = True → pass"].how == "tests/test_rules.py::test_it_counts"
    assert results["self.left -= 1 → pass"].how == "it runs without end"
    assert (root / "pkg/rules.py").read_text() == RULES


def test_a_stage_that_fails_without_a_change_is_no_measure(root: Path) -> None:
    (root / "tests/test_unrelated.py").write_text("def test_nothing() -> None: assert False\n")
    with pytest.raises(campaign.BrokenBefore, match="test_unrelated"):
        tried(root, "compare")


def test_every_change_is_valid_and_changes_one_line() -> None:
    for path in ("supervisor/core/lifecycle/suspect.py", "supervisor/core/services/service_set.py"):
        source = (command.ROOT / path).read_bytes()
        found = places(path, source)
        assert len({p.id for p in found}) == len(found) > 100
        unchanged = ast.dump(ast.parse(source))
        for place in found:
            assert ast.dump(ast.parse(place.apply(source))) != unchanged, place.id


@pytest.mark.parametrize(
    ("source", "changes"),
    [
        ("x.a < y", {"(x.a <= y)"}),
        ("a is None", {"(a is not None)"}),
        ("not a", {"a"}),
        ("a and b", {"a or b"}),
        ("x = min(a, b)", {"max"}),
        ("x = round(a, 3)", set()),
        ("out.append(a)", {"pass"}),
        ("f'{a + 1} of {b}'", set()),
        ("x: int = 2", {"3", "1"}),
        ("assert a is not None", set()),
        ("if TYPE_CHECKING:\n    x = 1", set()),
        ("__slots__ = ('a',)", set()),
        ("raise ValueError(1)", set()),
        ("if a:\n    self.b = a\nelse:\n    self.c = a", {"not a", "pass"}),
        ("first = a", set()),
        ("first = a\nfirst = b", {"pass"}),
        ("for a in b:\n    continue", {"break"}),
    ],
)
def test_changes_of(source: str, changes: set[str]) -> None:
    wanted = {text if text in ("pass", "break", "max") else f"({text.strip('()')})" for text in changes}
    assert {place.text for place in places("x.py", source.encode())} == wanted


def test_a_test_is_chosen_by_what_it_imports(root: Path) -> None:
    def files(tree: Path, path: str, folder: str) -> list[str]:
        return concerned(tree, places(path, (tree / path).read_bytes())[0], [folder], None)

    assert files(root, "pkg/rules.py", "tests") == ["tests/test_rules.py"]
    found = files(command.ROOT, "supervisor/core/lifecycle/suspect.py", "tests/core")
    assert found[0].startswith("tests/core/lifecycle/")
    assert "tests/core/services/test_service_set.py" in found
    assert "tests/core/text/test_nearest.py" not in found


def test_a_test_is_chosen_by_the_lines_that_it_runs(root: Path) -> None:
    with open(root / "tests/test_rules.py", "a") as file:
        file.write("\ndef test_a_new_one_has_three_left() -> None:\n    assert Counter().left == 3\n")
    asked: list[list[str]] = []
    results = tried(root, "plus-one", "compare", stage=measured_stage(asked))
    both = ["tests/test_rules.py::test_a_new_one_has_three_left", "tests/test_rules.py::test_it_counts"]
    assert {result.line: tests for result, tests in zip(results.values(), asked, strict=True)} == {
        "self.left = 3": both,
        "while self.left > 0:": both[1:],
        "self.left -= 1": both[1:],
        "return self.left == 0 and self.seen": both[1:],
    }
    assert results["self.left = 3 → (4)"].how == both[0]


@pytest.mark.parametrize(
    ("source", "line", "lines"),
    [
        ("x = 1 < 2", 1, None),
        ("class A:\n    x = 1 < 2", 2, None),
        ("def f(a=1 < 2):\n    pass", 1, None),
        ("def f():\n    return 1 < 2", 2, range(2, 3)),
        ("def f():\n    return (\n        1 < 2\n    )", 3, range(2, 5)),
        ("def f():\n    if (\n        1 < 2\n    ):\n        a()\n    else:\n        b()", 3, range(2, 5)),
        ("def f():\n    try:\n        a()\n    except E:\n        return 1 < 2", 5, range(5, 6)),
        (
            "class A:\n    def f(self):\n        match a:\n            case 1:\n                return 1 < 2",
            5,
            range(5, 6),
        ),
    ],
)
def test_lines_of_a_change(source: str, line: int, lines: range | None) -> None:
    place = next(p for p in places("x.py", source.encode()) if p.kind == "compare")
    assert place.line == line
    assert lines_of(source.encode(), place) == lines


def test_the_order_follows_from_the_seed_and_more_places_come_at_the_end(root: Path) -> None:
    found = campaign.all_places(root, ["pkg/rules.py"])
    assert campaign.chosen(found, 5, 1) == campaign.chosen(found, 3, 1) + campaign.chosen(found, 5, 1)[3:]
    assert campaign.chosen(found, len(found), 1) != campaign.chosen(found, len(found), 2)


def test_a_result_counts_until_its_line_changes(root: Path, tmp_path: Path) -> None:
    place = next(p for p in campaign.all_places(root, ["pkg/rules.py"]) if p.kind == "compare")
    kept = tmp_path / "results.jsonl"
    assert campaign.known_results(kept) == {}
    result = Result(place.id, "while self.left > 0:", place.text, "core", "a test", 1.0)
    kept.write_text(json.dumps(result.as_dict()) + "\n")
    assert campaign.known_results(kept) == {place.id: result}
    assert campaign.still_holds(root, place, result)
    (root / "pkg/rules.py").write_text(RULES.replace("self.left > 0:", "self.left > 0 :"))
    assert not campaign.still_holds(root, place, result)
    assert not campaign.still_holds(root, place, None)


def test_an_unknown_stage_or_place_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, error in (
        (["--stages", "kore"], "no such stage: kore"),
        (["--only", "x:1:1:y"], "no such place: x:1:1:y"),
    ):
        monkeypatch.setattr(sys, "argv", ["scripts/mutate", *arguments])
        with pytest.raises(SystemExit, match="2"):
            command.main()
        assert error in capsys.readouterr().err
