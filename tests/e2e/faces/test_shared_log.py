"""Several services in one log file, through the daemon's death, an upgrade and a reload, with the real command."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable

from tests.e2e.conftest import Daemon

Make = Callable[..., Daemon]

TOML = """
[defaults]
restart.policy = "never"
log = {{ path = "out/all.log", mode = "0604", rotate = false }}
[services.web]
replicas = 2
command = ["sh", "-c", "while read -r n; do printf '%s ' half; echo $n; done <{directory}/web@{{replica}}"]
[services.api]
command = ["sh", "-c", "while read -r n; do echo $n; done <{directory}/api"]
"""
NAMES = ("web@1", "web@2", "api")


def test_lines_of_several_services_in_one_file(daemon: Make) -> None:
    d = daemon("", start=False)
    for name in NAMES:
        os.mkfifo(d.directory / name)
    d.write(TOML.format(directory=d.directory))
    d.start()
    pipes = [(d.directory / name).open("wb", buffering=0) for name in NAMES]
    try:
        for i in range(50):
            for pipe in pipes:
                pipe.write(b"%d\n" % i)
            if i == 20:
                d.signal(signal.SIGKILL)
                d.wait()
            if i == 30:
                d.start()
            if i == 40:
                assert d.cli("upgrade").returncode == 0
    finally:
        for pipe in pipes:
            pipe.close()
    # each shell ends at the end of its input, so all that it wrote is there
    d.transitions(*((name, "exited") for name in NAMES))
    log = d.directory / "out" / "all.log"
    assert log.stat().st_mode & 0o777 == 0o604
    found = log.read_text().splitlines()
    for name in NAMES:
        own = [f"half {i}" if name != "api" else str(i) for i in range(50)]
        assert [line for line in found if line.startswith(f"{name} | ")] == [f"{name} | {text}" for text in own]
        assert d.cli("logs", name, "--no-prefix").stdout.splitlines() == own
    assert len(found) == 150
    told = [json.loads(line) for line in d.cli("logs", "--since", "1h", "web", "--json").stdout.splitlines()]
    assert {line["instance"] for line in told} == {"web@1", "web@2"} and all(line["at"] for line in told)
    assert d.cli("logs", "--grep", "^half 4$", "-n", "1", "--no-prefix").stdout == "half 4\nhalf 4\n"
    d.stop()
    assert d.cli("logs", "api", "-n", "2", "--no-prefix").stdout == "48\n49\n", "readers need no daemon"


def test_settings_of_the_file_must_agree(daemon: Make) -> None:
    d = daemon("", start=False)
    toml = TOML.format(directory=d.directory)
    d.write(f"{toml}log.keep = 3\n")
    refused = d.cli("check")
    assert refused.returncode == 2
    assert "services.api.log.keep: out/all.log is also the log of web" in refused.stderr.replace(f"{d.directory}/", "")
