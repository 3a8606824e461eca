"""The notify protocol: every field, every kind of nonsense, and what it means for an instance."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.model import events as ev
from supervisor.core.model.sdnotify import MAX_DATAGRAM, Message, error_told, events, parse
from supervisor.core.model.spec import HeartbeatSpec, ReadySpec, Scope, ServiceSpec

FIELDS = [
    (b"READY=1", Message(ready=True)),
    (b"WATCHDOG=1", Message(beat=True)),
    (b"WATCHDOG=trigger", Message(trigger=True)),
    (b"WATCHDOG=1\nWATCHDOG=trigger\n", Message(beat=True, trigger=True)),
    (b"WATCHDOG_USEC=2000000", Message(watchdog=2.0)),
    (b"STATUS=all is well", Message(status="all is well")),
    (b"STATUS=", Message(status="")),
    ("STATUS=Bücher\x1b[31m\x00\x7f\u202e!".encode(), Message(status="Bücher[31m!")),
    (b"STATUS=\xff\xfe", Message(status="\ufffd\ufffd")),
    (b"RELOADING=1", Message(reloading=True)),
    (b"STOPPING=1", Message(stopping=True)),
    (b"EXTEND_TIMEOUT_USEC=30000000", Message(extend=30.0)),
    (b"MAINPID=4711", Message(main_pid=4711)),
    (b"MAINPID=7\nMAINPIDFDID=18446744073709551615", Message(main_pid=7, main_pidfd_id=2**64 - 1)),
    (b"MAINPIDFD=1", Message(main_pidfd=True)),
    (b"RELOADING=1\nMONOTONIC_USEC=2500000", Message(reloading=True, monotonic=2.5)),
    (b"ERRNO=2", Message(errno=2)),
    (b"BUSERROR=org.example.No", Message(bus_error="org.example.No")),
    (b"VARLINKERROR=org.example.No\x1b", Message(varlink_error="org.example.No")),
    (b"RESTART_RESET=1", Message(delay_reset=True)),
    (b"FDSTORE=1\nFDNAME=a b\nFDPOLL=0", Message(fd_store=True, fd_name="a b", fd_unwatched=True)),
    (b"FDSTORE=1\nFDNAME=" + b"x" * 255, Message(fd_store=True, fd_name="x" * 255)),
    (b"FDSTOREREMOVE=1\nFDNAME=x", Message(fd_remove=True, fd_name="x")),
    (b"BARRIER=1", Message(barrier=True)),
    (b"WATCHDOG=1\nSENT_USEC=1500000", Message(beat=True, sent=1.5)),
    (b"READY=1\nSTATUS=up\nMAINPID=1\nX_OWN=1", Message(ready=True, status="up", main_pid=1)),
    (b"MAINPID=1\nMAINPID=2", Message(main_pid=2)),
    (b"STATUS=a=b", Message(status="a=b")),
    (b"READY=1\0", None),
    (b"\n\nREADY=1\n\n", Message(ready=True)),
]

NONSENSE = [
    b"",
    b"\n",
    b"=",
    b"READY",
    b"READY=0",
    b"READY=yes",
    b"ready=1",
    b" READY=1",
    b"WATCHDOG=2",
    b"FDSTORE=yes",
    b"FDPOLL=1",
    b"FDNAME=",
    b"FDNAME=a:b",
    b"FDNAME=a\tb",
    "FDNAME=Tür".encode(),
    b"FDNAME=" + b"x" * 256,
    b"MAINPIDFDID=0",
    b"READY=1\nBARRIER=1",
    b"MAINPID=0",
    b"MAINPID=-1",
    b"MAINPID=+7",
    b"MAINPID=1_0",
    b"MAINPID= 7",
    b"MAINPID=2147483648",
    "MAINPID=٣".encode(),
    b"EXIT_STATUS=256",
    b"ERRNO=99999",
    b"EXTEND_TIMEOUT_USEC=18446744073709551616",
    b"EXTEND_TIMEOUT_USEC=nan",
    b"EXTEND_TIMEOUT_USEC=" + b"9" * 4000,
    b"STATUS=" + b"x" * MAX_DATAGRAM,
    b"READY=1\n" * 8192,
    b"BUSY",
    b"BUSY=",
]


@pytest.mark.parametrize(("datagram", "message"), FIELDS)
def test_fields(datagram: bytes, message: Message | None) -> None:
    assert parse(datagram) == message


def test_what_is_said_of_descriptors_means_nothing_where_none_came() -> None:
    assert parse(b"READY=1\nFDSTORE=1\nMAINPIDFD=1", with_descriptors=False) == Message(ready=True)
    assert parse(b"FDSTORE=1", with_descriptors=False) is None
    assert parse(b"FDSTOREREMOVE=1", with_descriptors=False) == Message(fd_remove=True)


@pytest.mark.parametrize("datagram", NONSENSE, ids=lambda d: repr(d[:30]))
def test_nonsense_says_nothing(datagram: bytes) -> None:
    assert parse(datagram) is None


def test_status_is_cut() -> None:
    message = parse(b"STATUS=" + b"x" * 1000)
    assert message is not None and message.status == "x" * 256


_lines = st.lists(
    st.tuples(
        st.sampled_from([f for d, _ in FIELDS for f in [d.partition(b"=")[0]]] + [b"X", b""]),
        st.one_of(st.binary(max_size=30), st.integers().map(lambda i: str(i).encode()), st.just(b"1")),
    ).map(b"=".join)
).map(b"\n".join)


@given(st.one_of(st.binary(max_size=2 * MAX_DATAGRAM), _lines))
def test_any_bytes_give_a_sane_answer(datagram: bytes) -> None:
    message = parse(datagram)
    if message is None:
        return
    assert message != Message()
    for seconds in (message.watchdog, message.extend, message.sent):
        assert seconds is None or (math.isfinite(seconds) and seconds >= 0)
    if message.status is not None:
        assert len(message.status) <= 256 and message.status.isprintable()
    for spec in (NOTIFIED, PROBED):
        assert all(isinstance(event, ev.Event) for event in events(message, spec, 1, 2.0))


NOTIFIED = ServiceSpec(name="s", command=("s",), ready=ReadySpec(notify=True), heartbeat=HeartbeatSpec(source="notify"))
PROBED = ServiceSpec(
    name="s", command=("s",), ready=ReadySpec(tcp="[::1]:1"), heartbeat=HeartbeatSpec(source="tcp", tcp="[::1]:1")
)


EACH = ServiceSpec(name="s", command=("s",), heartbeat=HeartbeatSpec(scope=Scope.PROCESS))


def test_what_a_process_says_for_itself_is_not_said_for_the_instance() -> None:
    message = parse(b"WATCHDOG=1\nREADY=1\nSTATUS=x\nSTOPPING=1\nWATCHDOG_USEC=1")
    assert message is not None
    assert events(message, EACH, 3, 9.0, (7, 5)) == [ev.Heartbeat(3, 9.0, process=(7, 5))]


@pytest.mark.parametrize(
    ("datagram", "spec", "expected"),
    [
        (b"WATCHDOG=1", NOTIFIED, [ev.Heartbeat(3, 9.0)]),
        (b"WATCHDOG=1\nSENT_USEC=8900000", NOTIFIED, [ev.Heartbeat(3, 9.0, 8.9)]),
        (b"WATCHDOG=1", PROBED, [ev.Notified(3)]),
        (b"READY=1", NOTIFIED, [ev.Notified(3), ev.Ready(3, "notify")]),
        (b"READY=1", PROBED, [ev.Notified(3)]),
        (b"READY=1", ServiceSpec(name="s", command=("s",)), [ev.Notified(3)]),
        (b"WATCHDOG=trigger", PROBED, [ev.Notified(3), ev.Triggered(3)]),
        (b"STATUS=x", PROBED, [ev.Notified(3), ev.StatusText(3, "x")]),
        (b"WATCHDOG=1\nSTATUS=x", NOTIFIED, [ev.Heartbeat(3, 9.0), ev.StatusText(3, "x")]),
        (b"EXTEND_TIMEOUT_USEC=5000000", PROBED, [ev.Notified(3), ev.Extended(3, 5.0)]),
        (b"RELOADING=1", NOTIFIED, [ev.Notified(3), ev.ReloadBegun(3)]),
        (b"RELOADING=1\nMONOTONIC_USEC=8900000", NOTIFIED, [ev.Notified(3), ev.ReloadBegun(3, 8.9)]),
        (b"RELOADING=1", PROBED, [ev.Notified(3)]),
        (b"RESTART_RESET=1", PROBED, [ev.Notified(3), ev.DelayReset(3)]),
        (b"STOPPING=1\nMAINPID=3", NOTIFIED, [ev.Notified(3)]),
        (b"STOPPING=1", EACH, [ev.Notified(3), ev.Stopping(3)]),
        (b"WATCHDOG=1\nBUSY_USEC=2000000\nBUSY=a task", EACH, [ev.Heartbeat(3, 9.0, None, None, 2.0, "a task")]),
        (b"WATCHDOG=1\nBUSY_USEC=infinity", EACH, [ev.Heartbeat(3, 9.0, None, None, math.inf)]),
        (b"WATCHDOG=1\nBUSY_USEC=soon", EACH, [ev.Heartbeat(3, 9.0)]),
    ],
)
def test_what_it_means(datagram: bytes, spec: ServiceSpec, expected: list[ev.Event]) -> None:
    message = parse(datagram)
    assert message is not None
    assert events(message, spec, 3, 9.0) == expected


@pytest.mark.parametrize(
    ("datagram", "expected"),
    [
        (b"ERRNO=13", ev.ErrorTold(3, 13, "error 13")),
        (b"ERRNO=0", ev.ErrorTold(3, 0)),
        (b"BUSERROR=x.No\nERRNO=2", ev.ErrorTold(3, 2, "error 2", "x.No")),
        (b"VARLINKERROR=x.No", ev.ErrorTold(3, None, "", "", "x.No")),
        (b"READY=1", None),
    ],
)
def test_what_it_says_of_a_failure(datagram: bytes, expected: ev.ErrorTold | None) -> None:
    message = parse(datagram)
    assert message is not None
    assert error_told(message, 3, lambda number: f"error {number}") == expected
