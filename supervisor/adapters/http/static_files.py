"""Files of the package that a browser may have, and the headers that every answer to a browser carries."""

from __future__ import annotations

from collections.abc import Mapping

from supervisor.adapters.http.messages import Exchange

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy: nothing is loaded from elsewhere, no script stands in a page, and no page in a frame."""
SAFE_HEADERS = (
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
)
ORDER_HEADERS = (
    ("content-security-policy", POLICY.replace("form-action 'none'", "form-action 'self'")),
    *(pair for pair in SAFE_HEADERS if pair[0] not in ("content-security-policy", "referrer-policy")),
    ("referrer-policy", "same-origin"),
)
"""Of pages with forms: they are sent here alone.  With `no-referrer`, a browser says `Origin: null` when it sends one.
"""


class StaticFiles:
    """Answers for some paths with contents that stay as they are: those that the daemon read when it started."""

    def __init__(self, files: Mapping[str, tuple[bytes, str]]) -> None:
        """`files`: content and content type by path."""
        self._files = files

    def __contains__(self, path: str) -> bool:
        return path in self._files

    def answer(self, exchange: Exchange) -> None:
        """Answer with the file of the request's path.  A browser asks each time, so it never mixes two versions."""
        body, kind = self._files[exchange.request.path]
        exchange.reply(200, body, kind, (("cache-control", "no-cache"), *SAFE_HEADERS))
