"""What commit 5600521 hands over, marks and writes beside its records has the same names and the same form.

tests/golden/5600521 was written by that build and is never changed.  A test that fails here says that another version
would misread what this one writes, or the other way round.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

from supervisor.adapters.eventloop import fd_passing
from supervisor.adapters.logs import gzip_members, time_index, timestamp_spool
from supervisor.adapters.processes import marks
from supervisor.adapters.processes.spawn import Spawner
from supervisor.adapters.processes.trees import Trees
from supervisor.core.model.spec import ServiceSpec
from supervisor.daemon import parts, upgrade
from tests.golden.files import ID, golden

HANDED_OVER = golden("handover.json")


def test_the_names_of_descriptors() -> None:
    """tests/e2e/daemon/test_golden.py compares them with what a daemon hands over, and takes over."""
    names = [fd_passing.unquoted(item.rpartition(":")[0]) for item in HANDED_OVER["SUPERVISOR_HANDOVER"].split(",")]
    assert [n for n in names if ":" not in n] == ["lock", "state", "notify", "control", "http", "will"]
    assert {n.partition(":")[0] for n in names if ":" in n} == {"fifo", "socket"}
    assert {"fifo:web@2", "socket:unix:/srv/demo/web.sock"} <= set(names)
    assert (fd_passing.HANDOVER, upgrade.WILL) == ("SUPERVISOR_HANDOVER", "will")
    assert (parts.FIFO, parts.SOCKET) == ("fifo:", "socket:")


def test_a_name_is_quoted_in_the_same_way() -> None:
    assert fd_passing.quoted("socket:unix:/a b,c%") == "socket%3Aunix%3A/a%20b%2Cc%25"


def test_a_handover_is_read(tmp_path: Path) -> None:
    fds = [os.open(tmp_path, os.O_RDONLY) for _ in range(3)]
    environment = {"SUPERVISOR_HANDOVER": f"lock:{fds[0]},fifo%3Aweb@2:{fds[1]},will:{fds[2]}"}
    assert fd_passing.inherited(environment) == {"lock": fds[0], "fifo:web@2": fds[1], "will": fds[2]}
    assert environment == {}
    for fd in fds:
        os.close(fd)


def test_the_marks_in_the_environment() -> None:
    found = Spawner({}, ID, "/run/n").environment(ServiceSpec(name="web", command=("x",)), "web@2", 3)
    assert found == {
        b"SUPERVISOR_ID": ID.encode(),
        b"SUPERVISOR_SERVICE": b"web",
        b"SUPERVISOR_INSTANCE": b"web@2",
        b"SUPERVISOR_INCARNATION": b"3",
    }


def test_the_number_that_marks_an_instance() -> None:
    assert marks.mark_for(ID, "web@2") == 542766704132232074
    assert marks._LOCKS == 10


def test_the_name_of_the_cgroup() -> None:
    assert Trees(f"demo-{ID[:8]}", ID, (), cgroups=False)._directory == "phi-demo-01234567"


def test_an_index_is_read_and_written_in_the_same_way(tmp_path: Path) -> None:
    content = bytes.fromhex(golden("logs.json")["dead.log.idx"])
    at, offset = struct.unpack("<dQ", content[16:])
    fd = os.open(tmp_path / "x.idx", os.O_RDWR | os.O_CREAT)
    time_index.append(fd, time_index.begin(fd, 1), at, offset)
    assert os.pread(fd, 1 << 16, 0) == content
    assert time_index.sequence(fd) == 1
    assert list(time_index.governing(fd, 0, 20)) == [(at, 0)]
    os.close(fd)


def test_lines_that_wait_for_their_time_are_read_and_written_in_the_same_way(tmp_path: Path) -> None:
    content = struct.pack("<dq", 1.7e9, 77) + b"a line\n"
    (tmp_path / "x.log.raw").write_bytes(content)
    directory = os.open(tmp_path, os.O_RDONLY)
    draft = timestamp_spool.TimestampSpool(directory, "x.log")
    assert draft.read() == (1.7e9, 77, b"a line\n")
    reader, writer = os.pipe()
    os.write(writer, b"a line\n")
    draft.splice(reader, 100, 1.7e9, 77)
    assert (tmp_path / "x.log.raw").read_bytes() == content
    for fd in (directory, reader, writer):
        os.close(fd)


def test_a_compressed_log_is_read_and_written_in_the_same_way(tmp_path: Path) -> None:
    """What deflate makes of a text may change with zlib; the header around it may not."""
    packed = bytes.fromhex("1f8b08040000000000ff0c005356080029000000070000004b54c8c9cc4be502000a2ffb1707000000")
    (tmp_path / "plain").write_bytes(b"a line\n")
    (tmp_path / "packed").write_bytes(packed)
    old, new = (os.open(tmp_path / name, os.O_RDONLY) for name in ("packed", "plain"))
    assert gzip_members.GzipText(old).read(100, 0) == b"a line\n"
    member = b"".join(gzip_members.members(new))
    assert member[:16] == packed[:16]
    assert struct.unpack("<II", member[16:24]) == (len(member), 7)
    os.close(old)
    os.close(new)
