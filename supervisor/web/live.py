"""What the stream of a page sends: the texts that changed since it sent the last ones."""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import TYPE_CHECKING

from supervisor.web.rows import Fields, all_fields, problems

if TYPE_CHECKING:
    from supervisor.core.model.documents import Status

_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)


class Changes:
    """The changes of one page: it knows what its browser has been sent."""

    def __init__(self) -> None:
        self._sent: dict[str, Fields] = {}
        self._problems: list[str] | None = None
        self._hosts: object = None

    def of(self, status: Status, hosts: object = None) -> Generator[None, None, bytes]:
        """The changes as JSON, in steps, one for each row: `rows`, the changed texts by row; `moved`, whether there are
        other rows than before, or `hosts` are others; `problems`, where they changed."""
        changed: dict[str, Fields] = {}
        now: dict[str, Fields] = {}
        for key, fields in all_fields(status):
            before = self._sent.get(key, {})
            new = {name: text for name, text in fields.items() if before.get(name) != text}
            if new:
                changed[key] = new
            now[key] = fields
            yield
        moved = bool(self._sent) and (now.keys() != self._sent.keys() or hosts != self._hosts)
        found: dict[str, object] = {"rows": changed, "moved": moved}
        told = problems(status["supervisor"])
        if told != self._problems:
            found["problems"] = told
        self._sent, self._problems, self._hosts = now, told, hosts
        return _ENCODER.encode(found).encode("utf-8", "replace")
