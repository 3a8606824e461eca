"""Lays out the worked example in a folder of its own, so that several can run at once and nothing is left."""

from __future__ import annotations

import re
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

_HERE = Path(__file__).parent
SOURCE = _HERE if (_HERE / "services.toml").exists() else _HERE.parents[1]
"""The folder of services.toml and examples/: an installation has them here, a clone at its top."""
PORTS = range(18080, 18280)
"""Below those that the kernel gives to outgoing connections."""
_SHOP = "18080"
"""The port of the service `web` in services.toml."""
_PYTHON = "${PYTHON:-python3}"
"""The interpreter of the programs in services.toml."""


class Project(NamedTuple):
    """`file`: services.toml.  `page`: the address of the web view."""

    file: Path
    page: str


@contextmanager
def laid_out() -> Iterator[Project]:
    """The example in a temporary folder, which has the directories of its daemon too, with ports that no other example
    of this host gets.  The programs run with this interpreter, also under a daemon that was started from another shell:
    with another interpreter it would restart the services instead of adopting them.  The folder is removed in the
    end."""
    folder = Path(tempfile.mkdtemp(prefix="phi-demo-"))
    with ExitStack() as held:
        held.callback(shutil.rmtree, folder, ignore_errors=True)
        shop, page = _free_port(held), _free_port(held)
        (folder / "examples").mkdir()
        for program in (SOURCE / "examples").glob("*.py"):
            shutil.copyfile(program, folder / "examples" / program.name)
        text = (SOURCE / "services.toml").read_text()
        name = folder.name.removeprefix("phi-")
        ours = f'[supervisor]\nname = "{name}"\nruntime_dir = "run"\nstate_dir = "state"\n'
        http = f'[supervisor.http]\nlisten = "127.0.0.1:{page}"\nweb = true\n\n'
        if re.fullmatch(
            r"[\w./+-]+", sys.executable
        ):  # no mark in it that the file or the split of a command would read
            text = text.replace(_PYTHON, _PYTHON.replace("python3", sys.executable))
        text = text.replace(_SHOP, str(shop)).replace("[supervisor]\n", ours, 1)
        file = folder / "services.toml"
        file.write_text(text.replace("[defaults]", f"{http}[defaults]", 1))
        yield Project(file, f"http://127.0.0.1:{page}/")


def _free_port(held: ExitStack) -> int:
    """A port on which nothing listens.  An abstract socket of its number keeps other examples from it: these sockets
    belong to a network namespace, as ports do, and are gone with their process."""
    for port in PORTS:
        mark = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                mark.bind(f"\0phi-supervisor-demo-{port}")
                probe.bind(("127.0.0.1", port))
            except OSError:
                mark.close()
                continue
        held.callback(mark.close)
        return port
    raise OSError(f"each port from {PORTS.start} to {PORTS.stop - 1} is taken")
