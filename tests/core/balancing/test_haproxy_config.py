"""The file of HAProxy.  tests/adapters/balancing shows these to the real program."""

from __future__ import annotations

from dataclasses import replace

from supervisor.core.balancing.haproxy_config import Backend, Place, longest_drain, mark, slots_for, text, words
from supervisor.core.balancing.slots import Command, Slot, SlotState
from supervisor.core.model.spec import BalanceSpec

PLACE = Place("/run/demo/haproxy")
BALANCE = BalanceSpec(listen=("127.0.0.1", 8000), server="127.0.0.1:{port}")
ACTIVE = Slot(1, SlotState.ACTIVE, "web@1", 1, "127.0.0.1:18101")
DRAINING = Slot(2, SlotState.DRAINING, "web@2", 1, "127.0.0.1:18102")


def written(balance: BalanceSpec, *, place: Place = PLACE) -> list[str]:
    return [line.strip() for line in text(place, [Backend("web", balance, [ACTIVE, DRAINING])]).splitlines()]


def test_present_addresses_and_states_stand_in_the_file() -> None:
    lines = written(BALANCE)
    assert "server slot1 127.0.0.1:18101 id 1" in lines
    assert "server slot2 127.0.0.1:1 id 2 disabled" in lines
    assert "option idle-close-on-response" in lines
    assert 'stats socket "/run/demo/haproxy/w.sock" mode 600 level admin' in lines
    assert "bind 127.0.0.1:8000" in lines
    assert not [line for line in lines if line.startswith(("user", "chroot", "cookie", "retry-on", "option httpchk"))]


def test_every_key_of_balance_is_in_the_file() -> None:
    balance = replace(
        BALANCE,
        listen=("::1", 8443),
        algorithm="roundrobin",
        check="/healthz",
        sticky="cookie",
        retry="idempotent",
        drain=1.5,
        max_connections=7,
        certificate='/srv/a "b"$c.pem',
    )
    lines = written(balance, place=Place("/run/demo/haproxy", "haproxy", "haproxy"))
    assert 'bind [::1]:8443 ssl crt "/srv/a \\"b\\"\\$c.pem" alpn h2,http/1.1' in lines
    assert "balance roundrobin" in lines
    assert "retry-on conn-failure empty-response" in lines
    assert "http-request disable-l7-retry unless may_run_twice" in lines
    assert "acl fits_the_buffer req.hdr_val(content-length) 1:15360" in lines
    assert "http-request wait-for-body time 600s if may_run_twice fits_the_buffer" in lines
    assert "option httpchk GET /healthz" in lines
    assert "server slot1 127.0.0.1:18101 id 1 cookie slot1" in lines
    assert "hard-stop-after 1500ms" in lines
    assert "default-server check inter 2s fall 3 rise 1 maxconn 7" in lines
    assert {"user haproxy", "group haproxy", 'chroot "/run/demo/haproxy/empty"'} <= set(lines)


def test_the_file_for_mode_tcp() -> None:
    lines = written(replace(BALANCE, mode="tcp", sticky="source", certificate="/c.pem"))
    assert "mode tcp" in lines
    assert "stick on src" in lines
    assert 'bind 127.0.0.1:8000 ssl crt "/c.pem"' in lines
    assert "option idle-close-on-response" not in lines


def test_addresses_and_states_are_no_part_of_the_definition() -> None:
    one = [Backend("web", BALANCE, [ACTIVE, DRAINING])]
    free = [Backend("web", BALANCE, [Slot(1), Slot(2)])]
    assert mark(PLACE, one) == mark(PLACE, free)
    assert mark(PLACE, one) != mark(PLACE, [Backend("web", replace(BALANCE, drain=31.0), [ACTIVE, DRAINING])])
    assert mark(PLACE, one) != mark(PLACE, [Backend("web", BALANCE, [ACTIVE])])
    assert f'description "phi-supervisor {mark(PLACE, one)} 127.0.0.1:8000"' in text(PLACE, one)


def test_numbers_and_places() -> None:
    assert (PLACE.file, PLACE.master) == ("/run/demo/haproxy/haproxy.cfg", "/run/demo/haproxy/m.sock")
    assert [slots_for(replicas) for replicas in (1, 4, 5, 200)] == [8, 8, 10, 400]
    own, over = (BalanceSpec(listen=("127.0.0.1", 8000), hosts=hosts) for hosts in ("own", "all"))
    assert [slots_for(4, own), slots_for(4, over)] == [8, 32]
    assert longest_drain([]) == 0.0


def test_the_commands_for_a_slot() -> None:
    assert words("web", Command(3, ready=False)) == "set server web/slot3 state maint"
    assert words("web", Command(3, ready=True, address="[::1]:18101")) == (
        "set server web/slot3 addr ::1 port 18101;set server web/slot3 state ready"
    )
