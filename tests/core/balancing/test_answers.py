"""What HAProxy 2.6 answers, read into values."""

from __future__ import annotations

from supervisor.core.balancing import answers
from supervisor.core.balancing.answers import Processes, Statistics, Worker
from supervisor.core.balancing.slots import Seen

STAT = """\
# pxname,svname,qcur,scur,stot,econ,eresp,status,weight,sid,rate,addr,used_conn_cur,
web,FRONTEND,,3,9,,,OPEN,,0,1,,,
web,slot1,1,2,40,3,4,UP 1/2,1,1,5,127.0.0.1:18101,2,
web,slot2,0,0,0,0,0,MAINT,100,2,0,127.0.0.1:1,0,
web,slot3,0,1,7,,,DRAIN,1,3,0,127.0.0.1:18103,1,
web,BACKEND,0,3,47,0,0,UP,3,0,5,,3,

"""

INFO = """\
Name: HAProxy
Version: 2.6.12-1+deb12u4
Pid: 26833
Uptime_sec: 12
description: phi-supervisor 7c6d7761 127.0.0.1:8000 [::1]:9
"""

PROC = """\
#<PID>          <type>          <reloads>       <uptime>        <version>
26828           master          2 [failed: 1]   0d00h00m01s     2.6.12-1+deb12u4
# workers
26840           worker          0               0d00h00m01s     2.6.12-1+deb12u4
# old workers
26833           worker          1               0d00h00m09s     2.6.12-1+deb12u4
# programs

"""


def test_statistics_of_slots() -> None:
    first, second, third = answers.statistics("Name: HAProxy\n\n" + STAT)
    assert first == Statistics("web", Seen(1, True, "127.0.0.1:18101", 2, 1, 2), "UP 1/2", 1, 40, 5, 7)
    assert second.seen == Seen(2, False, "127.0.0.1:1")
    assert (third.seen.ready, third.seen.used, third.errors) == (False, True, 0)


def test_several_answers_and_none() -> None:
    assert len(answers.statistics(STAT + STAT)) == 6
    assert answers.statistics("No such proxy.\n\n") == []


def test_old_workers_are_added_to_the_present_one() -> None:
    other = STAT.replace("slot2,0,0,0,0,0,MAINT", "slot2,0,1,0,0,0,UP").replace(
        "web,slot3,0,1,7,,,DRAIN,1,3", "web,slot9,0,1,7,,,DRAIN,1,9"
    )
    rows = answers.together([answers.statistics(STAT), answers.statistics(other)])
    assert [row.seen for row in rows] == [
        Seen(1, True, "127.0.0.1:18101", 4, 2, 4, lingering=True),
        Seen(2, False, "127.0.0.1:1", 1, 0, 0, lingering=True),
        Seen(3, False, "127.0.0.1:18103", 1, 0, 1),
    ]


def test_the_worker_and_the_file_that_it_has_read() -> None:
    assert answers.worker(INFO) == Worker(26833, "7c6d7761", ("127.0.0.1:8000", "[::1]:9"), 12.0)
    foreign = answers.worker("Pid: 4\nUptime_sec: 1\ndescription: of another program\n")
    assert foreign == Worker(4, "", (), 1.0)
    assert answers.worker("Unknown command\n") is None


def test_the_processes_of_haproxy() -> None:
    assert answers.processes(PROC) == Processes(26840, (26833,), 2, 1)
    assert answers.processes("") == Processes(None, (), 0, 0)
    present, old = (f"# {kind}\n{pid} worker 1 0d00h00m01s\n" for kind, pid in (("workers", 7), ("old workers", 6)))
    assert answers.processes(old + present) == answers.processes(present + old) == Processes(7, (6,), 0, 0)


def test_refusals_are_told_from_success() -> None:
    success = "no need to change the addr, port changed from '1' to '18102' by 'stats socket command'\n\n\n"
    assert list(answers.refusals(success)) == []
    assert list(answers.refusals(success + "No such server.\n\n")) == ["No such server."]
    assert list(answers.refusals("'set server <srv> state' expects 'ready', 'drain' and 'maint'.\n")) != []
