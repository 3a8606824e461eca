"""Many trials on several copies of the tree.  Each result is written at once, so that a campaign can go on later."""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from scripts.tools.mutation.places import Place, places
from scripts.tools.mutation.trial import Copy, Result, Stage


class BrokenBefore(Exception):
    """A stage fails without any change."""


def all_places(root: Path, files: Iterable[str]) -> list[Place]:
    return [place for file in files for place in places(file, (root / file).read_bytes())]


def chosen(found: Sequence[Place], count: int, seed: int) -> list[Place]:
    """`count` of the places, in an order that follows from the seed: a larger count adds places at the end."""
    mixed = list(found)
    random.Random(seed).shuffle(mixed)
    return mixed[:count]


def known_results(file: Path) -> dict[str, Result]:
    """The results by id of an earlier campaign."""
    lines = file.read_text().splitlines() if file.exists() else []
    return {result.id: result for result in (Result(**json.loads(line)) for line in lines)}


def still_holds(root: Path, place: Place, result: Result | None) -> bool:
    """The result is one of this place, whose line has not changed since."""
    if result is None or result.text != place.text:
        return False
    return (root / place.path).read_text().splitlines()[place.line - 1].strip() == result.line


def run(
    root: Path, todo: Sequence[Place], stages: Sequence[Stage], jobs: int, report: Callable[[Result], None]
) -> None:
    """Try each place; `report` gets each result as it comes, one after the other.  BrokenBefore."""
    with tempfile.TemporaryDirectory(prefix="mutation-") as folder:
        first = Copy(root, Path(folder, "unchanged"))
        broken, lines = first.unchanged(stages, Path(folder))
        if broken:
            raise BrokenBefore(broken)
        copies: SimpleQueue[Copy] = SimpleQueue()
        for number in range(max(1, min(jobs, len(todo)))):
            copies.put(Copy(first.root, Path(folder, str(number))))

        def one(place: Place) -> Result:
            copy = copies.get()
            try:
                return copy.trial(place, stages, lines)
            finally:
                copies.put(copy)

        with ThreadPoolExecutor(copies.qsize()) as pool:
            for result in pool.map(one, todo):
                report(result)
