"""A web server that answers with the name of its instance, and hangs when it gets SIGUSR1.

Usage: web.py PORT [COUNTED [ADDRESS]].  Each request is one byte in the file COUNTED; health checks are none.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

hung = threading.Event()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body leave together: an answer that has begun cannot be asked for elsewhere

    def do_GET(self) -> None:
        if counted is not None and self.path != "/healthz":
            os.write(counted, b".")
        if hung.is_set():
            threading.Event().wait()  # it has accepted, and never answers
        body = (os.environ.get("SUPERVISOR_INSTANCE", "web") + "\n").encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True


signal.signal(signal.SIGUSR1, lambda *_: hung.set())
counted = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644) if len(sys.argv) > 2 else None
Server((sys.argv[3] if len(sys.argv) > 3 else "127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
