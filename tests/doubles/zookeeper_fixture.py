"""One ZooKeeper server for the tests of a room that do not harm it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.doubles.zookeeper_servers import MISSING, Ensemble


@pytest.fixture(scope="session")
def ensemble(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ensemble]:
    """Sessions here last from 1 to 10 s."""
    if MISSING:
        pytest.skip(MISSING)
    with Ensemble(tmp_path_factory.mktemp("zookeeper"), tick=0.5) as servers:
        yield servers
