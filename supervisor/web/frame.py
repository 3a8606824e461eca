"""The frame of every page, and pages that say what is wrong."""

from __future__ import annotations

from urllib.parse import quote

from supervisor.display.markup import text


def in_address(name: str) -> str:
    """A name as a part of an address."""
    return quote(name, safe="", errors="replace")


def frame(title: str, body: str, stream: str = "") -> bytes:
    """A whole page.  `stream`: the address of its stream; empty: it has none."""
    script = '<script src="/web/script.js" defer></script>\n' if stream else ""
    data = f' data-stream="{text(stream)}"' if stream else ""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(title)}</title>\n"
        f'<link rel="stylesheet" href="/web/style.css">\n{script}</head>\n<body{data}>\n'
        f'<a class="skip" href="#main">Skip to the content</a>\n{body}</body>\n</html>\n'
    ).encode("utf-8", "replace")


def error_page(title: str, message: str) -> bytes:
    """A page that says what is wrong."""
    body = (
        f'<header>\n<h1>{text(title)}</h1>\n</header>\n<main id="main">\n'
        f'<p id="answer" role="alert">{text(message)}</p>\n'
        '<p><a href="/">All services</a></p>\n</main>\n'
    )
    return frame(title, body)
