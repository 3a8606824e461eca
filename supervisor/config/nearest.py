"""What somebody who mistyped a word probably meant."""

from __future__ import annotations

from collections.abc import Iterable

_ABBREVIATION = 3  # letters with which a known word must begin


def nearest(word: object, known: Iterable[str]) -> str:
    """`; did you mean "x"?`, or nothing where no known word is near."""
    from difflib import get_close_matches  # only a file with an error pays for it

    text, known = str(word)[:100], list(known)
    close = get_close_matches(text, known, 1) or [k for k in known if len(text) >= _ABBREVIATION and k.startswith(text)]
    return f'; did you mean "{close[0]}"?' if close else ""
