"""A balanced service, and clients that ask it without a pause: for measurements and for tests."""

from __future__ import annotations

import http.client
import sys
import threading
from pathlib import Path

WEB = Path(__file__).parents[3] / "examples" / "balanced" / "web.py"
PATIENCE = 60.0
"""Seconds in which an answer has to come."""


def balanced_service(
    listen: int, ports: tuple[int, int], place: Path, *, replicas: int, name: str = "web", drain: str, more: str = ""
) -> str:
    """The table of a service behind the port `listen`, whose instances have `ports`, from the first to the last.  Each
    counts its requests in a file in `place`."""
    return f"""
[services.{name}]
command = ["{sys.executable}", "{WEB}", "{{port}}", "{place}/{{replica}}"]
replicas = {replicas}
ports = "{ports[0]}-{ports[1]}"
ready = {{ http = "http://127.0.0.1:{{port}}/healthz", interval = "50ms", timeout = "10s" }}
restart = {{ initial = "10ms", max_restarts = 100000 }}
balance = {{ listen = "127.0.0.1:{listen}", check = "/healthz", retry = "idempotent", drain = "{drain}" }}
{more}
"""


class Clients:
    """Ask without a pause until they are told to stop.  `kinds`: whether one keeps its connection, in turns."""

    def __init__(self, port: int, count: int, kinds: tuple[bool, ...] = (True, False)) -> None:
        self.answered = 0
        self.failed: list[str] = []
        self._port = port
        self._end = threading.Event()
        self._news = threading.Condition()
        self._threads = [threading.Thread(target=self._run, args=(kinds[n % len(kinds)],)) for n in range(count)]
        for thread in self._threads:
            thread.start()

    def _run(self, keep: bool) -> None:
        connection = None
        while not self._end.is_set():
            try:
                connection = connection or http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
                connection.request("GET", "/")
                answer = connection.getresponse()
                if answer.status != 200 or not answer.read():
                    self.failed.append(f"status {answer.status}")
                if not keep or answer.getheader("Connection") == "close":
                    connection.close()
                    connection = None
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(repr(error))
                connection = None
            with self._news:
                self.answered += 1
                self._news.notify_all()
        if connection is not None:
            connection.close()

    def more(self, count: int) -> None:
        """Wait until so many more are answered."""
        with self._news:
            until = self.answered + count
            assert self._news.wait_for(lambda: self.answered >= until, PATIENCE), "no answers"

    def stop(self) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join(PATIENCE)
