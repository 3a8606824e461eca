"""The least that a supervisor in Python must cost: starts the commands in a JSON file, and restarts those that end."""

import json
import os
import select
import subprocess
import sys


def main() -> None:
    poll = select.epoll()
    running: dict[int, tuple[subprocess.Popen[bytes], list[str]]] = {}

    def start(argv: list[str]) -> None:
        process = subprocess.Popen(argv)
        fd = os.pidfd_open(process.pid)
        running[fd] = process, argv
        poll.register(fd, select.EPOLLIN)

    with open(sys.argv[1]) as services:
        for argv in json.load(services):
            start(argv)
    while True:
        for fd, _ in poll.poll():
            process, argv = running.pop(fd)
            process.wait()
            poll.unregister(fd)
            os.close(fd)
            start(argv)


main()
