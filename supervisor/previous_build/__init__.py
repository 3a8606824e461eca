"""What a daemon of build 5600521 still has to import when its files are replaced by this version's while it runs.

That build imports some of its modules when they are first needed: to answer a stream, to compress a log, to start a
service with sockets, and to upgrade.  After `pip install --upgrade`, and until `supervisor upgrade` has put this
version in its place, it looks for them under their old names.  There it finds short modules that call `load`, which
runs the source of that build, so that it fits the modules that the daemon holds in memory.

Kept for one version.  To remove: this package, and the modules that import it (`git grep previous_build`).
"""

from __future__ import annotations

import sys


def load(name: str) -> None:
    """Run the source that build 5600521 had under `name` in the module of that name.

    ImportError in any process but a daemon of that build: nothing of this version needs the module.
    """
    if "supervisor.runtime" not in sys.modules:
        raise ImportError(f"{name} only serves daemons of build 5600521", name=name)
    path = f"{__path__[0]}/sources/{name}.txt"
    with open(path, encoding="utf-8") as file:
        source = file.read()
    exec(compile(source, path, "exec"), sys.modules[name].__dict__)
