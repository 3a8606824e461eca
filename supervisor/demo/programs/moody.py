"""A worker whose rhythm wanders, and which now and then stops working without ending: what an exit code never tells.

Usage: moody.py MEAN_SECONDS_TO_THE_HANG
"""

import contextlib
import os
import random
import signal
import socket
import sys
import threading
import time

signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
hang_at = time.monotonic() + random.uniform(0.6, 1.4) * float(sys.argv[1])
lock = threading.Lock()


def beat() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock, contextlib.suppress(OSError):
        sock.sendto(b"WATCHDOG=1", os.environ["NOTIFY_SOCKET"])


def work() -> None:
    while time.monotonic() < hang_at:
        time.sleep(max(0.02, random.gauss(0.25, 0.06)))
        beat()
    print("taking a lock that is never released", flush=True)
    lock.acquire()
    lock.acquire()


work()
