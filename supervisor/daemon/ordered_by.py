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
    """The user, and the client: of a page of the web view its address, else its command line while that can be read,
    because it waits for the answer."""
    user: OrderedBy = {} if peer.uid is None else {"uid": peer.uid, "user": account_name(peer.uid)}
    if peer.address:
        return {**user, "web": peer.address}
    from supervisor.core.text.redact import without_secrets  # its patterns take time to compile
    from supervisor.core.text.units import shorten

    words = without_secrets(procfs.command_line(peer.pid)[:MOST_WORDS]) if peer.pid else []
    return {
        **user,
        "pid": peer.pid or None,
        "command": [shorten(word, LONGEST_WORD) for word in words],
    }
