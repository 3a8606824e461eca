"""The real dead-man process, without its sockets: a copy of its module whose clock and trees are the world's."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import supervisor.cluster
from tests.simulation.cluster.processes import Process

if TYPE_CHECKING:
    from tests.simulation.cluster.host import Host


def _copy() -> Any:
    path = Path(supervisor.cluster.__path__[0]) / "deadman.py"
    spec = importlib.util.spec_from_file_location("tests.simulation.cluster._deadman", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


REAL = _copy()


class Tree(REAL.Tree):  # type: ignore[misc,name-defined]
    """The kernel's trees of one instance and epoch."""

    host: Host

    def kill(self) -> None:
        self.killed = True
        for tree in self.host.trees:
            if (tree.name, tree.epoch) == (self.name, self.epoch):
                tree.kill()

    def empty(self) -> bool:
        return all((tree.name, tree.epoch) != (self.name, self.epoch) for tree in self.host.trees)


class DeadMan(REAL.DeadMan):  # type: ignore[misc,name-defined]
    def __init__(self, process: DeadManProcess) -> None:
        self.trees: dict[tuple[str, int], Any] = {}
        self.believed_until = 0.0
        self.process = process

    def marked(self, marks: object, killed: object) -> set[str]:
        return set()

    def tell(self, text: str) -> None:
        for client in (self.process.host.daemon, self.process.host.agent):
            client.post(("dead-man", *text.split()))


class DeadManProcess(Process):
    """Its main loop: all that was said comes before any judgement."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self.man = DeadMan(self)

    def turn(self) -> None:
        host = self.host
        REAL.now = host.now
        REAL.Tree = host.tree_class
        REAL._send = lambda client, text: client.post(("dead-man", *text.split()))
        for words, client in self.take():
            self.man.take(words, -1, client)
        now = host.now()
        self.man.judge(now)
        if self.man.trees:
            self.wake_local(now + self.man.wait())
