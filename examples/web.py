"""A small HTTP service: it takes a while to warm up, then answers on /healthz.

Usage: web.py PORT [SECONDS_TO_WARM_UP]
"""

import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT = int(sys.argv[1])
WARM_UP = float(sys.argv[2]) if len(sys.argv) > 2 else 1.0
STARTED = time.monotonic()


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        warm = time.monotonic() - STARTED > WARM_UP
        self.send_response(200 if warm else 503)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps({"warm": warm, "incarnation": os.environ.get("SUPERVISOR_INCARNATION")}).encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


print(f"listening on 127.0.0.1:{PORT}", flush=True)
ThreadingHTTPServer(("127.0.0.1", PORT), Page).serve_forever()
