"""What somebody who mistyped a word probably meant."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(word: object, known: Iterable[str]) -> str:
    """`; did you mean "x"?`, or nothing where no known word is near."""
    from difflib import get_close_matches  # only a file with an error pays for it

    close = get_close_matches(str(word)[:100], known, 1)
    return f'; did you mean "{close[0]}"?' if close else ""
