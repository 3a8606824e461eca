"""Ordered by: describes the client that gave an order, for the record of it (documents.OrderedBy)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from supervisor.adapters.linux import procfs
from supervisor.adapters.linux.accounts import account_name

if TYPE_CHECKING:
    from supervisor.adapters.http.messages import Peer
    from supervisor.core.model.order_documents import OrderedBy

MOST_WORDS = 40
LONGEST_WORD = 200
"""Of a client's command line, what is recorded."""


def ordered_by(peer: Peer) -> OrderedBy:
    """The user, and the client while it can be read: it waits for the answer."""
    from supervisor.core.text.redact import without_secrets  # its patterns take time to compile
    from supervisor.core.text.units import shorten

    words = without_secrets(procfs.command_line(peer.pid)[:MOST_WORDS]) if peer.pid else []
    return {
        "uid": peer.uid,
        "user": account_name(peer.uid),
        "pid": peer.pid or None,
        "command": [shorten(word, LONGEST_WORD) for word in words],
    }
