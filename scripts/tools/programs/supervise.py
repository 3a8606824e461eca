"""Runs one program under the supervisor, from the file that `supervisor init -- COMMAND` writes.

It is started, reloaded, reloaded with an error in its file, stopped by SIGSTOP and continued, starved of CPU, killed,
and stopped by order.  Each step waits for what the daemon reports of it, as long as a busy machine may need.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scripts.tools.programs.manager import end_all
from scripts.tools.programs.measure import NotUp, Run, place_for
from scripts.tools.programs.starved import starved
from scripts.tools.programs.supervised_file import STEPS
from supervisor.adapters.linux import procfs
from supervisor.client import Client
from supervisor.errors import OperationFailed, SupervisorError
from supervisor.programs.book import Program, read

PATIENCE = 180.0
"""Seconds that one step may take on a machine that has much else to do."""
LOOK = 0.2
"""Seconds from one status to the next."""
QUIET, LONGEST_BUSY = 1.5, 15.0
"""Seconds without work after which a program counts as having done what it was told; most seconds waited for that."""
STARVED, LONGEST_STARVED = 10.0, 20.0
"""Seconds without CPU; most seconds in which it must be silent then, else it has got enough."""

Condition = Callable[[Mapping[str, Any]], bool]


class Wrong(Exception):
    """Something else happened than what the book, or the order, says."""


class Life:
    """One program in its folder, and the daemon that runs it.  `seen`: what became of each of STEPS.

    `told_before`: bytes of its output before the last run.  `changed`: init has added something to its command."""

    def __init__(self, run: Run, home: Path, program: Program) -> None:
        self.run, self.home, self.program = run, home, program
        self.seen: dict[str, str] = {}
        self.told_before = 0
        self.file, self.main = home / "services.toml", home / "main.toml"
        self._init()
        ((self.name, self.table),) = tomllib.loads(self.file.read_text())["services"].items()
        self.changed = self._words(self.table["command"]) != self._words(self.run.recipe["command"])
        self.client = Client(str(home / "run" / "control.sock"))

    def _words(self, command: str | Sequence[str]) -> list[str]:
        """The arguments, as the recipe's are filled in; the program itself may be written with its folder."""
        words = shlex.split(command) if isinstance(command, str) else command
        return [self.run.filled(word) for word in words][1:]

    def _supervisor(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "supervisor", *arguments], cwd=self.run.place, env=self.run.environment,
            capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip

    def _init(self) -> None:
        command = [self.run.filled(word) for word in self.run.recipe["command"]]
        made = self._supervisor("init", str(self.file), "--", *command)
        if made.returncode:
            raise Wrong(f"init: {made.stderr.strip()}")
        self.main.write_text(
            f'include = ["{self.file}"]\n[supervisor]\nname = "programs"\n'
            f'runtime_dir = "{self.home}/run"\nstate_dir = "{self.home}/state"\n'
            + (f'[defaults]\nuser = "{user}"\n' if (user := self.run.recipe.get("user")) else "")
        )
        checked = self._supervisor("check", str(self.main))
        notes = [line for line in checked.stderr.splitlines() if line.strip()]
        if checked.returncode or notes:
            raise Wrong(f"check has something to say of what init wrote: {'; '.join(notes)}")

    @contextmanager
    def daemon(self) -> Iterator[None]:
        with open(self.home / "log", "wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "supervisor", "run", "-f", str(self.main)], cwd=self.home,
                env=self.run.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        try:
            yield
            process.send_signal(signal.SIGTERM)
            if (code := process.wait(PATIENCE)) != 0:
                raise Wrong(f"the daemon ended with {code}")
        finally:
            end_all()
            process.wait()

    # -- waiting ---------------------------------------------------------------------------------------------------

    def row(self) -> Mapping[str, Any]:
        (row,) = self.client.status([self.name])["instances"]
        return row

    def until(self, what: str, condition: Condition) -> Mapping[str, Any]:
        """Wait for a status of which the condition holds."""
        last: Mapping[str, Any] = {}
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                last = self.row()
                if condition(last):
                    return last
            except SupervisorError:  # the daemon is on its way
                pass
            time.sleep(LOOK)
        told = (
            f"state {last.get('state')}, ready {last.get('ready')}, cause {last.get('cause')}" if last else "no answer"
        )
        raise Wrong(f"not {what} within {PATIENCE:.0f} s: {told}; {self._log()}")

    def _log(self) -> str:
        paths = [self.home / "state" / "log" / f"{self.name}.log", self.home / "log"]
        return " | ".join(path.read_text(errors="replace")[-300:] for path in paths if path.exists())

    def up(self, incarnation: int) -> Mapping[str, Any]:
        """Wait until it is ready in this run and, where the recipe can ask it, serves."""
        row = self.until("ready", lambda row: row["ready"] and row["incarnation"] >= incarnation)
        if row["incarnation"] != incarnation:
            raise Wrong(f"it was started {row['incarnation']} times; {self._log()}")
        kind, _, rest = self.run.recipe["up"].partition(":")
        if kind != "notify":
            self.until("up", lambda _: self._serves(kind, self.run.filled(rest)))
        return row

    def _output(self) -> bytes:
        log = self.home / "state" / "log" / f"{self.name}.log"
        return log.read_bytes() if log.exists() else b""

    def _serves(self, kind: str, rest: str) -> bool:
        if kind == "output":
            return rest.encode() in self._output()[self.told_before :]
        if kind == "path":
            return Path(rest).exists()
        with socket.socket() as asks:
            asks.settimeout(1.0)
            return asks.connect_ex(("127.0.0.1", int(self.run.words["port"]))) == 0

    def events(self) -> list[Mapping[str, Any]]:
        return list(self.client.events([self.name], limit=1000))

    def failures(self) -> int:
        return sum(event["to"] in ("backoff", "failed") or "attempt" in event["detail"] for event in self.events())

    # -- the steps -------------------------------------------------------------------------------------------------

    def live(self) -> None:
        with self.daemon():
            for step, what in zip(
                STEPS,
                (self.starts, self.reload, self.broken, self.hang, self.starve, self.kill, self.stop),
                strict=True,
            ):
                try:
                    if said := what():
                        self.seen[step] = said
                except (Wrong, SupervisorError) as error:
                    raise Wrong(f"{step}: {error}") from None

    def starts(self) -> str:
        row = self.up(1)
        notify = self.table.get("ready") == {"notify": True}
        if self.program.notifies and not notify and not self.program.application:
            raise Wrong("it sends READY=1, and init has not written that")
        return "ready, as it says" if notify else f"runs, pid {row['pid']}".partition(",")[0]

    def signalled(self) -> None:
        """Send its reload signal as a user does."""
        if not self.client.act("signal", [self.name]):
            raise Wrong(f"there was no process to reload; {self._log()}")

    def settled(self) -> None:
        """Wait until it has done what a signal tells it to do: none of its processes has used the CPU for a while.

        Nothing else tells it for most programs, and a file must not be changed before it is read."""
        began = quiet = time.monotonic()
        before = -1
        while time.monotonic() - quiet < QUIET and time.monotonic() - began < LONGEST_BUSY:
            time.sleep(LOOK)
            if (main := self.row()["pid"]) is None:
                return
            stats = map(procfs.stat, [main, *procfs.descendants(main)])
            ticks = sum(stat.utime + stat.stime for stat in stats if stat is not None)
            if ticks != before:
                before, quiet = ticks, time.monotonic()

    def reload(self) -> str:
        if "reload" not in self.run.recipe:
            return ""
        before = self.row()
        self.signalled()
        self.settled()
        after = self.up(before["incarnation"])
        if after["pid"] != before["pid"]:
            return "goes on, as another main process"
        return "goes on"

    def broken(self) -> str:
        """A reload with an error in its file, which is mended afterwards."""
        recipe, seen = self.run.recipe, self.program.seen
        if "reload" not in recipe or "broken" not in recipe:
            return ""
        before = self.row()
        self.run.spoil()
        try:
            if "reload_check" in self.table:
                return self._refused(before)
            self.signalled()
            if seen["broken_reload"].startswith("goes on"):
                self.settled()
                if self._runs_on(before):
                    self.up(before["incarnation"])
                    return "goes on"
                if not self.changed:
                    raise Wrong(f"it has ended, and the book says {seen['broken_reload']}; {self._log()}")
            ended = self.until("ended by it", lambda row: row["incarnation"] > 1 or row["pid"] != before["pid"])
        finally:
            self.run.renew()
        told = next((event for event in self.events() if "after_signal" in event["detail"]), None)
        if told is None:
            raise Wrong("its end is not told with the signal")
        self.until("back", lambda row: row["ready"] and row["incarnation"] >= ended["incarnation"])
        return f"exit {told['detail']['exit_code']}, told with the signal; back once it is mended"

    def _runs_on(self, before: Mapping[str, Any]) -> bool:
        row = self.row()
        return bool(row["state"] == "running" and row["incarnation"] == before["incarnation"])

    def _refused(self, before: Mapping[str, Any]) -> str:
        try:
            self.signalled()
        except OperationFailed as error:
            if "reload_check" not in error.message:
                raise
        else:
            raise Wrong("the check has passed although the file has an error")
        itself = self.run.recipe.get("itself")  # then a connection would make it read the file
        after = self.row() if itself else self.up(before["incarnation"])
        if after["pid"] != before["pid"]:
            raise Wrong("it does not run on as it was")
        self.run.renew()
        self.signalled()  # the check passes again
        self.settled()
        self.up(before["incarnation"])
        return "refused"

    def hang(self) -> str:
        before = self.row()
        beats = self.table.get("heartbeat") is not None
        os.kill(before["pid"], signal.SIGSTOP)
        try:
            self.until("shown as stopped", lambda row: row.get("paused") is not None)
            if beats:
                self.until("held", lambda row: row["state"] == "suspect" and row["held"] is not None)
        finally:
            os.kill(before["pid"], signal.SIGCONT)
        self.until("running again", lambda row: row["state"] == "running" and row.get("paused") is None)
        after = self.up(before["incarnation"])
        if after["pid"] != before["pid"]:
            raise Wrong("it was ended, although it was only stopped")
        return "held" if beats else "shown"

    def starve(self) -> str:
        """Without CPU for STARVED seconds.  Only a silence can end it then; one without heartbeats is left out."""
        if self.table.get("heartbeat") is None:
            return ""
        before, began = self.row(), time.monotonic()
        with starved(before["pid"]):
            held = self.until(
                "held", lambda row: row["held"] is not None or time.monotonic() - began > LONGEST_STARVED
            )["held"]
            while time.monotonic() - began < STARVED:
                time.sleep(LOOK)
        self.until("running again", lambda row: row["state"] == "running")
        after = self.up(before["incarnation"])
        if after["pid"] != before["pid"]:
            raise Wrong("it was ended, although it was only starved")
        return "goes on" if held is None else f"held: {held}"

    def kill(self) -> str:
        before = self.row()
        self.told_before = len(self._output())
        os.kill(before["pid"], signal.SIGKILL)
        self.until("another run", lambda row: row["incarnation"] > before["incarnation"])
        self.up(before["incarnation"] + 1)
        return "comes back"

    def stop(self) -> str:
        failures, before = self.failures(), len(self.events())
        self.client.act("stop", [self.name])
        row = self.until("stopped", lambda row: row["state"] in ("stopped", "failed", "exited", "backoff"))
        if row["state"] != "stopped" or self.failures() != failures:
            raise Wrong(f"a stop left it {row['state']}, with {self.failures() - failures} failures more")
        told = [event["cause"] for event in self.events()[before:]]
        if "stop-timeout" in told:
            raise Wrong(f"it did not stop in time, and was killed: {', '.join(told)}")
        end = f"exit {row['exit_code']}" if row["signal"] is None else signal.Signals(row["signal"]).name
        said = self.program.seen["stop"][self.table.get("stop_signal", "TERM")].partition("; ")[0]
        if end != said:
            raise Wrong(f"it ended with {end}, and the book says {said}")
        return end


def supervise(recipe: Mapping[str, Any], book: Path, path: str) -> tuple[dict[str, str], str]:
    """What was seen at each of STEPS, and what was wrong; empty: nothing.  `book`: the file of the program."""
    seen: dict[str, str] = {}
    try:
        with place_for(recipe, path) as run:
            home = Path(tempfile.mkdtemp(prefix="programs-"))
            home.chmod(0o755)  # a program of another user sends its datagrams to the daemon's socket
            try:
                life = Life(run, home, read(book))
                seen = life.seen
                life.live()
            finally:
                shutil.rmtree(home, ignore_errors=True)
    except (Wrong, NotUp) as error:
        return seen, str(error)
    return seen, ""
