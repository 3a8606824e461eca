"""Files for a browser: their content, and the headers that bind it."""

from __future__ import annotations

from supervisor.adapters.http.messages import Request
from supervisor.adapters.http.static_files import SAFE_HEADERS, StaticFiles


class Asked:
    """A request, and the answer that it got."""

    def __init__(self, path: str) -> None:
        self.request = Request("GET", path, "", {}, b"", False)
        self.answers: list[tuple[int, bytes, str, dict[str, str]]] = []

    def reply(self, status: int, body: bytes, content_type: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        self.answers.append((status, body, content_type, dict(headers)))

    def stream(self, *_: object) -> object:
        raise AssertionError("a file is no stream")


def test_a_file_is_sent_with_its_type_and_with_what_a_browser_must_not_do() -> None:
    files = StaticFiles({"/web/a.css": (b"a {}", "text/css")})
    assert "/web/a.css" in files
    assert "/web/../a.css" not in files
    asked = Asked("/web/a.css")
    files.answer(asked)  # type: ignore[arg-type]
    assert asked.answers == [(200, b"a {}", "text/css", {"cache-control": "no-cache", **dict(SAFE_HEADERS)})]


def test_no_source_of_content_is_allowed_but_the_daemon_itself() -> None:
    policy = dict(part.split(" ", 1) for part in dict(SAFE_HEADERS)["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == policy["frame-ancestors"] == "'none'"
    assert {policy["style-src"], policy["script-src"], policy["connect-src"]} == {"'self'"}
