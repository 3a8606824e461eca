"""The text of the version that a host runs, written again before a push where ZooKeeper has lost the record.

The new record names that version as the one in force: where the push fails, all hosts go back to it.  A host that never
ran it finds its text only in ZooKeeper, which may have lost that, too.
"""

from __future__ import annotations

from supervisor.core.cluster import version_documents as documents
from supervisor.core.cluster.requests import Node, Request, Result, Verb
from supervisor.core.cluster.version_documents import text_path


class KeptText:
    """Of version `number`, whose text has this digest.  `done`: it is in ZooKeeper."""

    def __init__(self, number: int, digest: str, mark: str) -> None:
        """`mark`: of the push that begins afterwards."""
        self.number, self.digest, self.done = number, digest, False
        self._mark = mark
        self._next, self._version = Verb.CREATE, -1

    def request(self, text: str) -> Request:
        """The next one, until it is done.  `text`: that of the version."""
        path = text_path(self.number)
        if self._next is Verb.GET:
            return Request(Verb.GET, path)
        return Request(self._next, path, documents.dump_text(text, self._mark), self._version)

    def answered(self, request: Request, result: Result, node: Node | None) -> None:
        """A request for the node of that version was answered.  A node with another text, of a push that came to
        nothing, is overwritten."""
        self._next, self._version = Verb.CREATE, -1
        if request.verb is Verb.GET and node is not None:
            self.done = documents.digest_of(documents.text_and_mark(node.data)[0]) == self.digest
            self._next, self._version = Verb.SET, node.version
        elif request.verb is not Verb.GET:
            self.done = result is Result.DONE
            if result is Result.EXISTS:
                self._next = Verb.GET
