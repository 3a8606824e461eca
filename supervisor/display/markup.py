"""Writes text into HTML. Names, causes, output and evidence come from outside: all of them pass through `text`."""

from __future__ import annotations

from html import escape


def text(value: object) -> str:
    """Text for any place in a page, attributes too. Characters that HTML does not allow are replaced."""
    shown = str(value)
    if not shown.isprintable():
        shown = "".join(c if c.isprintable() else "\ufffd" for c in shown)
    return escape(shown)
