"""This version's daemon leaves the same things, in the same form, as that of commit 5600521, and takes up its handover.

The golden project is run with this version, up to an upgrade, and what a successor finds is compared with the golden
files: names, keys and kinds, since numbers and moments are others each time.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.e2e.conftest import PATIENCE, alive
from tests.golden.files import GOLDEN, golden
from tests.golden.meaning import database, snapshots
from tests.golden.write import main as write

OF_CHANCE = {"classes", "failure"}
"""What has other keys each time."""
LATER = {"had_beaten", "ran", "probe_failures", "probes", "policy", "status_at", "by", "draining"}
"""Keys that are written since: of snapshots, where they have another value than an absent key means, and of events."""


def test_the_next_version_finds_the_same(tmp_path: Path) -> None:
    write(tmp_path)
    snapshots_have_the_same_keys(tmp_path)
    detectors_have_learned_as_many_things(tmp_path)
    the_ledger_has_the_same_tables_and_facts(tmp_path)
    the_files_are_the_same(tmp_path)
    a_successor_is_told_the_same(tmp_path)


def keys(value: Any) -> Any:
    """The keys of nested objects, in order."""
    if isinstance(value, dict):
        known = {key: inner for key, inner in value.items() if key not in LATER}
        return {key: None if key in OF_CHANCE else keys(inner) for key, inner in known.items()}
    return None


def snapshots_have_the_same_keys(written: Path) -> None:
    found, wanted = snapshots(written), snapshots(GOLDEN)
    assert set(found) == set(wanted)
    for name, saved in wanted.items():
        assert json.dumps(keys(found[name])) == json.dumps(keys(saved)), name


def detectors_have_learned_as_many_things(written: Path) -> None:
    """A law is a list of which each place has a meaning: the same number of places, the name at the front."""
    found = snapshots(written)
    for name, saved in snapshots(GOLDEN).items():
        if saved["detector"] is not None:
            assert found[name]["detector"]["law"][0] == saved["detector"]["law"][0]
            if name in ("phi", "phi-logistic", "timeout", "exponential"):
                assert len(found[name]["detector"]["law"]) == len(saved["detector"]["law"])


def the_ledger_has_the_same_tables_and_facts(written: Path) -> None:
    found, wanted = database(written), database(GOLDEN)
    for question in (
        "SELECT type, name, sql FROM sqlite_master ORDER BY name",
        "SELECT key, value FROM meta WHERE key <> 'clock'",
    ):
        assert list(found.execute(question)) == list(wanted.execute(question))
    for name in ("backoff", "broken", "trial", "dead", "migrate", "web@1", "stopped"):
        rows = (
            'SELECT service, incarnation, goal, "from", "to", cause, detail FROM events WHERE instance = ? ORDER BY id'
        )
        assert [(*row[:6], detail_keys(row[6])) for row in found.execute(rows, (name,))] == [
            (*row[:6], detail_keys(row[6])) for row in wanted.execute(rows, (name,))
        ]


def detail_keys(detail: str) -> list[str]:
    return [key for key in json.loads(detail) if key not in LATER]


def the_files_are_the_same(written: Path) -> None:
    found = json.loads((written / "files.json").read_text())
    for later in ("run/running", "run/source", "run/written.json", "state/source"):
        assert found.pop(later) == "file", "later than that build"
    assert {name: kind for name, kind in found.items() if not name.startswith("state/log/")} == {
        name: kind for name, kind in golden("files.json").items() if not name.startswith("state/log/")
    }
    assert set(golden("files.json")) - set(found) == set()
    for name in ("plan.json", "id"):
        assert (written / name).read_text() == (GOLDEN / name).read_text()
    logs, before = json.loads((written / "logs.json").read_text()), golden("logs.json")
    assert logs["dead.log"] == before["dead.log"]
    assert (len(logs["dead.log.idx"]), logs["dead.log.idx"][:32]) == (64, before["dead.log.idx"][:32])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z at work\n", bytes.fromhex(logs["phi.log"]).decode())


def a_successor_is_told_the_same(written: Path) -> None:
    found, wanted = json.loads((written / "handover.json").read_text()), golden("handover.json")
    assert list(found) == list(wanted)
    assert set(found["will"].pop("written")) == {one["name"] for one in wanted["will"]["plan"]["services"]}
    assert "upgrade" in found["will"].pop("by")["command"], "later than that build"
    assert found["will"].pop("lacking") == [], "later than that build"
    assert found["will"] == wanted["will"]
    assert found["arguments"] == wanted["arguments"]
    names = [
        sorted(item.rpartition(":")[0] for item in told["SUPERVISOR_HANDOVER"].split(",")) for told in (found, wanted)
    ]
    names[0].remove("guard")  # later than that build, which closes what it does not know
    assert names[0] == names[1]


def test_what_is_handed_over_is_taken_up(tmp_path: Path) -> None:
    """This version succeeds a daemon that never was: each golden name that has a use is held on to, another is not."""
    for name in ("run", "run/fifo", "state"):
        (tmp_path / name).mkdir(mode=0o700)
    os.mkfifo(tmp_path / "run/fifo/web")
    place = {"runtime_dir": str(tmp_path / "run"), "state_dir": str(tmp_path / "state"), "listen": ["127.0.0.1", 1]}
    front = f"unix:{tmp_path}/web.sock"
    service = {
        "name": "web",
        "command": ["sleep", "1000"],
        "sockets": [{"url": front}],
        "detach": False,
    }
    plan = {"supervisor": {"name": "demo", **place}, "services": [service], "path": str(tmp_path / "services.toml")}
    will = os.memfd_create("will")
    os.write(will, json.dumps({**golden("handover.json")["will"], "plan": plan, "previous": ["/bin/false"]}).encode())

    def listening(address: str) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(address)
        sock.listen()
        return sock

    http = socket.socket()
    http.bind(("127.0.0.1", 0))
    http.listen()
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.bind(str(tmp_path / "run/notify.sock"))
    control, web = listening(str(tmp_path / "run/control.sock")), listening(str(tmp_path / "web.sock"))
    nobody = socket.socket(socket.AF_UNIX)
    for sock in (notify, control, web, http):
        sock.setblocking(False)  # as every daemon's are
    given = {
        "lock": os.open(tmp_path / "run/lock", os.O_RDWR | os.O_CREAT),
        "state": os.open(tmp_path / "state", os.O_RDONLY),
        "notify": notify.fileno(),
        "control": control.fileno(),
        "http": http.fileno(),
        "fifo%3Aweb": os.open(tmp_path / "run/fifo/web", os.O_RDWR | os.O_NONBLOCK),
        f"socket%3Aunix%3A{tmp_path}/web.sock": web.fileno(),
        "nobody": nobody.fileno(),
    }
    arguments = golden("handover.json")["arguments"]
    at = arguments.index("-f")
    arguments = [*arguments[:at], "-f", plan["path"], *arguments[at + 2 :]]
    handover = ",".join(f"{name}:{fd}" for name, fd in {**given, "will": will}.items())
    daemon = subprocess.Popen(
        [sys.executable, *arguments],
        env=os.environ | {"SUPERVISOR_HANDOVER": handover},
        pass_fds=[*given.values(), will],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert daemon.stderr is not None
        for line in daemon.stderr:
            if "web" in line and "running" in line:
                break
        held = set()
        for link in Path(f"/proc/{daemon.pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # it was open for a moment
                held.add(link.stat().st_ino)
        taken = {name for name, fd in given.items() if os.fstat(fd).st_ino in held}
        assert taken == set(given) - {"nobody"}
        assert alive(daemon.pid)
    finally:
        daemon.terminate()
        daemon.communicate(timeout=PATIENCE)
        for fd in (given["lock"], given["state"], given["fifo%3Aweb"], will):
            os.close(fd)
        for sock in (notify, control, web, http, nobody):
            sock.close()
