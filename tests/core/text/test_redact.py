"""What is removed from a command line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.text.redact import without_secrets


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ("app --password hunter2 --port 80", "app --password *** --port 80"),
        ("app --db-password=hunter2 -v", "app --db-password=*** -v"),
        ("app -token hunter2", "app -token ***"),
        ("app API_KEY=hunter2", "app API_KEY=***"),
        ("redis-server --requirepass hunter2 --save", "redis-server --requirepass *** --save"),
        ("app --token --verbose", "app --token --verbose"),
        ("psql postgres://app:hunter2@db/x?y=1", "psql postgres://app:***@db/x?y=1"),
        ("curl https://hunter@host/", "curl https://hunter@host/"),
        ("app --monkey banana key=value", "app --monkey banana key=value"),
        ("app --private-key=/etc/x.pem", "app --private-key=***"),
    ],
)
def test_what_looks_like_a_secret_is_hidden(words: str, kept: str) -> None:
    assert without_secrets(words.split()) == kept.split()


@given(st.lists(st.text(), max_size=20))
def test_no_word_is_lost(words: list[str]) -> None:
    assert len(without_secrets(words)) == len(words)
