"""A worker that says READY=1 when it is set up, and beats through sd_notify as long as its loop turns."""

import contextlib
import os
import random
import signal
import socket
import threading
import time


def notify(message: str) -> None:
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        # A supervisor that is just being replaced is no reason to die.
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock, contextlib.suppress(OSError):
            sock.sendto(message.encode(), address)


hang = threading.Event()
signal.signal(signal.SIGUSR1, lambda *_: hang.set())  # for scripts/chaos: a lock that is never given back

time.sleep(0.3)
notify("READY=1\nSTATUS=waiting for jobs")
for job in range(10**9):
    time.sleep(random.uniform(0.15, 0.25))
    if hang.is_set():
        threading.Event().wait()
    if job % 25 == 0:
        print(f"job {job} done", flush=True)
        notify(f"STATUS={job} jobs done")
    notify("WATCHDOG=1")
