"""A small HTTP service: it needs a second to warm up, then answers on /healthz."""

import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT = int(sys.argv[1])
STARTED = time.monotonic()


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        warm = time.monotonic() - STARTED > 1.0
        self.send_response(200 if warm else 503)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps({"warm": warm, "incarnation": os.environ.get("SUPERVISOR_INCARNATION")}).encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


print(f"listening on 127.0.0.1:{PORT}", flush=True)
ThreadingHTTPServer(("127.0.0.1", PORT), Page).serve_forever()
