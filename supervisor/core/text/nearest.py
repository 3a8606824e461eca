"""Which known words a mistyped one probably stands for: keys, services, commands, programs."""

from __future__ import annotations

from collections.abc import Iterable

MOST = 3
_ABBREVIATION = 3  # letters with which a known word must begin
_LONGEST = 100  # letters of a word that are compared: the search takes the square of them


def nearest(word: object, known: Iterable[str], maximum: int = MOST) -> list[str]:
    """At most `maximum` known words, the nearest first: those spelt alike, else those that the word abbreviates."""
    from difflib import get_close_matches  # only a mistake pays for the import

    text, known = str(word)[:_LONGEST], list(known)
    alike = get_close_matches(text, known, maximum)
    return alike or [k for k in known if len(text) >= _ABBREVIATION and k.startswith(text)][:maximum]


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """`; did you mean "x"?`, or nothing where no known word is near."""
    found = nearest(word, known, 1)
    return f'; did you mean "{found[0]}"?' if found else ""
