"""The least that capturing output must cost in Python: splices what one command writes to the end of a file."""

import fcntl
import os
import select
import subprocess
import sys

MOST = 1 << 20
"""Bytes that the pipe holds, and that one call moves at most; the supervisor's pipe grows to the same size."""


def main() -> None:
    log = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    pipe, writer = os.pipe2(os.O_CLOEXEC)
    fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, MOST)
    subprocess.Popen(sys.argv[2:], stdout=writer)
    os.close(writer)
    poll = select.epoll()
    poll.register(pipe, select.EPOLLIN)
    end = 0
    while poll.poll() and (moved := os.splice(pipe, log, MOST, offset_dst=end, flags=os.SPLICE_F_NONBLOCK)):
        end += moved


main()
