"""Finds the known words that are nearest to a mistyped one: keys, services, commands, programs."""

from __future__ import annotations

from collections.abc import Iterable

MOST = 3
_ABBREVIATION = 3  # letters of a word before known words are taken for its completions
_LONGEST = 100  # letters of a word that are compared; the time of the search grows with their square


def nearest(word: object, known: Iterable[str], maximum: int = MOST) -> list[str]:
    """At most `maximum` known words, the nearest first: similar ones, else those that begin with the word."""
    from difflib import get_close_matches  # only a mistake pays for the import

    text, known = str(word)[:_LONGEST], list(known)
    alike = get_close_matches(text, known, maximum)
    return alike or [k for k in known if len(text) >= _ABBREVIATION and k.startswith(text)][:maximum]


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """`; did you mean "x"?`, or nothing where no known word is near."""
    found = nearest(word, known, 1)
    return f'; did you mean "{found[0]}"?' if found else ""
