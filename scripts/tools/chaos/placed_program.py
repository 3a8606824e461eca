"""A placed service's program, which lets an observer see each run: `placed_program.py SOCKET LOCK [once | -- COMMAND]`.

It connects to the observer and says what it runs under.  A child of it, or the command that it becomes, inherits the
connection, so the observer hears the end of the connection when the last process of the tree has ended, however that
came.  The lock says by the kernel whether another tree of the same slot is there.
"""

import fcntl
import json
import os
import signal
import socket
import sys
import time


def boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


observer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
observer.connect(sys.argv[1])
lock = os.open(f"{sys.argv[2]}.{os.environ['SUPERVISOR_INSTANCE']}", os.O_RDWR | os.O_CREAT, 0o600)
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    alone = True
except BlockingIOError:
    alone = False
os.set_inheritable(lock, True)
os.set_inheritable(observer.fileno(), True)


def say(what: str) -> None:
    told = {"what": what, "at": boottime(), "pid": os.getpid(), "alone": alone}
    for key in ("NODE", "EPOCH", "INSTANCE"):
        told[key.lower()] = os.environ.get(f"SUPERVISOR_{key}", "")
    observer.sendall(json.dumps(told).encode() + b"\n")


if sys.argv[3:4] == ["--"]:
    say("begin")
    os.execvp(sys.argv[4], sys.argv[4:])
child = os.fork()
if child == 0:
    signal.pause()


def end(*_: object) -> None:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    say("end")
    os._exit(0)


signal.signal(signal.SIGTERM, end)  # before anybody hears of it, so that an order to end is always told
say("begin")
if sys.argv[3:] == ["once"]:
    end()
while True:
    signal.pause()
