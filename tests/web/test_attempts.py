"""How often a client may send a wrong token."""

from __future__ import annotations

from supervisor.web import attempts
from supervisor.web.attempts import BURST, EVERY, Attempts


def test_a_client_waits_after_some_wrong_tokens_and_no_other_does() -> None:
    found = Attempts()
    for number in range(BURST):
        assert found.wait("a", 100.0) == 0.0, number
        found.wrong("a", 100.0)
    assert found.wait("a", 100.0) == EVERY
    assert found.wait("a", 100.0 + EVERY) == 0.0
    assert found.wait("b", 100.0) == 0.0
    found.wrong("a", 100.0 + EVERY)
    assert found.wait("a", 100.0 + EVERY) == EVERY
    assert found.wait("a", 100.0 + 1000 * EVERY) == 0.0


def test_only_so_many_clients_are_remembered() -> None:
    found = Attempts()
    for client in range(attempts.MOST_CLIENTS):
        found.wrong(client, 1.0)
    for _ in range(BURST):
        found.wrong("a", 1.0)
    assert len(found._wrong) == attempts.MOST_CLIENTS
    assert found.wait("a", 1.0) > 0.0
    assert 0 not in found._wrong and 1 in found._wrong
