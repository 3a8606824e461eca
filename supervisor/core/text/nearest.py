"""Finds the known words that are nearest to a mistyped one: keys, services, commands, programs.

A suggestion that is quite another word misleads more than none.  Therefore edits are counted (a letter put in, left out
or replaced, two neighbours swapped: the optimal string alignment distance), and a word is near only where they are few
for its length.  Among many known words, such as the programs of a host, one is always near by chance, so there fewer
edits are allowed, none in the first letter, and a word is short for another only up to a mark or a number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

MOST = 3
FEW = 200
"""Known words are few up to this number."""
_ABBREVIATION = 3  # letters of a word before known words are taken for its completions
_PART = 4  # letters of a word that is found again at the beginning or the end of another
_LONGEST = 100  # letters of a word that are compared; the time of the search grows with their square
_MOST_EDITS = 3


def nearest(word: object, known: Iterable[str], maximum: int = MOST) -> list[str]:
    """At most `maximum` known words, the nearest first: those at one edit, else those that begin with the word, else,
    where few are known, those that share a part with it, else those at more edits.  Ties by name."""
    text, known = _plain(str(word)[:_LONGEST]), sorted(set(known))
    words = [(one, _plain(one[:_LONGEST])) for one in known]
    few = len(known) <= FEW
    slips = [(edits, one) for one, plain in words if (edits := _slip(text, plain, few)) is not None]
    found = [one for edits, one in slips if edits <= 1] or [one for one, plain in words if _begins(text, plain, few)]
    if few and not found:
        found = [one for one, plain in words if _share_a_part(text, plain)]
    return (found or [one for _, one in sorted(slips, key=lambda slip: slip[0])])[:maximum]


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """`; did you mean "x"?`, or nothing where no known word is near."""
    found = nearest(word, known, 1)
    return f'; did you mean "{found[0]}"?' if found else ""


def _plain(text: str) -> str:
    """In small letters, and with one mark for all marks: on-failure and ON_FAILURE are the same."""
    return re.sub(r"[\W_]", "-", text.lower())


def _slip(a: str, b: str, few: bool) -> int | None:
    """The edits that lead from one word to the other; None where they are too many."""
    length = max(len(a), len(b))
    swapped = length >= _ABBREVIATION and sorted(a) == sorted(b)
    if few:
        allowed = length // 4 or int(swapped or len(a) == len(b) == _ABBREVIATION)
    else:
        allowed = length // 5 or int(swapped)
        allowed = allowed if a[:1] == b[:1] or swapped else 0
    allowed = min(allowed, _MOST_EDITS)
    if abs(len(a) - len(b)) > allowed:
        return None
    edits = _distance(a, b, allowed)
    return edits if edits <= allowed else None


def _begins(a: str, b: str, few: bool) -> bool:
    """Whether the first word is short for the second: env for environment; among many, redis for redis-server alone."""
    return len(a) >= _ABBREVIATION and b.startswith(a) and (few or not b[len(a) :][:1].isalpha())


def _distance(a: str, b: str, enough: int) -> int:
    """The optimal string alignment distance; any number above `enough` where it is larger."""
    before: list[int] = []
    above = list(range(len(b) + 1))
    for i, letter in enumerate(a, 1):
        row = [i]
        for j, other in enumerate(b, 1):
            edits = min(above[j] + 1, row[-1] + 1, above[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == b[j - 2] and a[i - 2] == other:
                edits = min(edits, before[j - 2] + 1)
            row.append(edits)
        if min(row) > enough and min(above) > enough:
            return enough + 1
        before, above = above, row
    return above[-1]


def _share_a_part(a: str, b: str) -> bool:
    """One begins or ends the other (autorestart, restart), or they have the same parts in another order or shortened
    (env_file, environment_file; memory_max, max_memory)."""
    short, long = sorted((a, b), key=len)
    if len(short) >= _PART and (long.startswith(short) or long.endswith(short)):
        return True
    parts, others = sorted(short.split("-")), sorted(long.split("-"))
    return 1 < len(parts) == len(others) and all(
        len(part) >= _ABBREVIATION and other.startswith(part) for part, other in zip(parts, others, strict=True)
    )
