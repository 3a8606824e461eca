"""Reads on until a page of a log has lines.

In a log that several instances share, a page may hold lines of others alone.  It is empty then, without being at the
end, so that the daemon never reads long for one request.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from supervisor.core.model.log_documents import Logs


def with_lines(read: Callable[..., Logs], **query: Any) -> Logs:
    """The first page that has lines, or the last one there is.  `query`: lines, since, before, after, stream."""
    after = query["after"] is not None or (query["since"] is not None and query["before"] is query["lines"] is None)
    while True:
        page = read(**query)
        here, place = ("after", page["last"]) if after else ("before", page["first"])
        if page["lines"] or page["at_end"] or query["lines"] == 0 or place == query[here]:
            return page
        query[here] = place
