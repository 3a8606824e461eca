"""A program that says it is ready and beats every INTERVAL seconds; after COUNT beats, if given, it hangs."""

import os
import signal
import socket
import sys
import time

interval = float(sys.argv[1])
count = int(sys.argv[2]) if len(sys.argv) > 2 else 1 << 60
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
    line.connect(os.environ["NOTIFY_SOCKET"])
    line.send(b"READY=1\nSTATUS=at work")
    os.write(1, b"at work\n")
    for _ in range(count):
        time.sleep(interval)
        line.send(b"WATCHDOG=1")
signal.pause()
