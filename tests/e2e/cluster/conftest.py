"""Three hosts on one ZooKeeper server, for all tests of a module: each begins when they have settled."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scripts.tools.chaos.cluster_observer import Observer
from tests.doubles.zookeeper_servers import MISSING, Ensemble
from tests.e2e.cluster.hosts import TICK, Hosts


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    if MISSING:
        pytest.skip(MISSING)
    folder = tmp_path_factory.mktemp("c")
    with Ensemble(folder, tick=TICK) as ensemble, Observer(folder / "observer.sock") as observer:
        hosts = Hosts(folder, ensemble, observer)
        try:
            yield hosts
        finally:
            for host in hosts:
                if not host.running:
                    host.start()  # takes up what it left, and ends it
                host.stop()


@pytest.fixture
def hosts(three: Hosts) -> Iterator[Hosts]:
    """Settled; no test may see two runs of a slot at a time, or an epoch that does not grow."""
    three.settle()
    yield three
    assert not three.observer.violations()
