"""Runs the pushed version of the configuration: compiles it, keeps it on disk, and puts it in force.

It is put in force as an edited file would be by a reload, and then watched until what it has started or replaced is
ready, or cannot be.  The version on disk is what the next daemon starts from, whether ZooKeeper answers by then or not.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from supervisor.core.cluster.version_documents import DIRECTORY, VERSION, digest_of
from supervisor.core.cluster.versions import Health
from supervisor.core.model.spec import Plan
from supervisor.core.services.pushed import Change, judged
from supervisor.daemon.compilation import compile_file
from supervisor.daemon.edited_file import apply_edits
from supervisor.daemon.parts import Parts
from supervisor.daemon.status_view import StatusView
from supervisor.errors import ConfigError, OperationFailed, SupervisorError

if TYPE_CHECKING:
    from supervisor.core.model.push_documents import PushedAnswer, PushedTurn, PushedWord

LOOK, AGAIN = 0.25, 1.0
"""Seconds between two looks at what has changed, and between two attempts where a rollout is still on its way."""
LONGEST_REASON = 500
"""Characters of what other hosts are told of a failure; all of it is in the log."""
OWN_FILE, NONE = (0, ""), (-1, "")
Version = tuple[int, str]
"""Its number and its digest."""


class PushedConfiguration:
    """The pushed configuration of a member of a cluster.  `tell`: sends the agent a message."""

    def __init__(self, parts: Parts, tell: Callable[[], None]) -> None:
        self._parts, self._tell = parts, tell
        self._files = _Files(f"{parts.state_dir}/{DIRECTORY}")
        self._view = StatusView(parts)
        pushed = parts.service_set.plan.pushed
        self._in_force: Version = (pushed.number, pushed.digest) if pushed is not None else OWN_FILE
        self._told: Version = self._in_force
        """What this host runs or changes to; `in_force` is what its plan was read from."""
        self._turn: PushedTurn | None = None
        self._seq, self._health, self._reason = 0, Health.READY, ""
        self._text = ""
        self._wants: Version | None = None
        self._keep = False
        self._compiling = False
        self._cancel_attempt: Callable[[], None] | None = None
        self._change = self._files.change(self._in_force)
        if self._change is not None:  # the daemon before this one has not seen the end of it
            self._health = Health.CHANGING
            self._watch()

    def heard(self, word: PushedWord | None) -> None:
        """A message of the agent came."""
        if word is None:
            return
        self._turn = word["turn"]
        self._keep = word.pop("keep", False)
        text = word.pop("text", "")
        if text:
            self._text = text
        self._follow()

    def answer(self) -> PushedAnswer:
        """What this host runs."""
        (number, digest), pushed = self._told, self._parts.service_set.plan.pushed
        found: PushedAnswer = {
            "number": number, "digest": digest, "seq": self._seq, "health": self._health.value,
            "reason": self._reason, "differs": pushed is not None and pushed.differs, "wants": self._wants,
            "plan": self._in_force,
        }  # fmt: skip
        if self._keep:
            found["text"] = self._files.read(self._told) or ""
        return found

    def problems(self) -> list[str]:
        """What a person is to know of the version that this host runs, or should."""
        found = []
        pushed = self._parts.service_set.plan.pushed
        if pushed is not None and pushed.differs:
            own = self._parts.service_set.plan.path
            found.append(
                f"{own} has other services than version {pushed.number} of the configuration, which was pushed to the "
                f"cluster and runs here ({pushed.path}); `supervisor cluster push` pushes a file to all hosts"
            )
        if self._health is Health.FAILED:
            found.append(f"{_named(self._told)} is not in force here: {self._reason}")
        return found

    def reloaded(self) -> None:
        """A person has ordered a reload: what has failed is tried once more."""
        if self._health is Health.FAILED and not self._compiling:
            self._told = NONE
            self._follow()
            self._tell()

    def current(self, plan: Plan) -> bool:
        """Whether a plan was compiled from the version that this host keeps now."""
        pushed = plan.pushed
        return ((pushed.number, pushed.digest) if pushed is not None else OWN_FILE) == self._in_force

    # -- a change ------------------------------------------------------------------------------------------------

    def _follow(self) -> None:
        """Begin what was told last, unless it has begun."""
        if self._turn is None or self._compiling or self._parts.service_set.closing:
            return
        told = self._turn["number"], self._turn["digest"]
        if told == self._told:
            self._seq, self._wants = self._turn["seq"], None
            return
        path = ""
        if told != OWN_FILE:
            if digest_of(self._text) != told[1] and not self._files.has(told):
                self._wants = told
                return
            try:
                path = self._files.write(told, self._text)
            except OSError as error:
                self._begin(told)
                self._fail(f"the version cannot be kept in {self._files.directory}: {error.strerror}")
                return
        self._begin(told)
        self._parts.say("info", f"{_named(told)} is to be put in force")
        self._compile(path)

    def _begin(self, told: Version) -> None:
        assert self._turn is not None
        if self._cancel_attempt is not None:
            self._cancel_attempt()
        self._told, self._seq, self._wants = told, self._turn["seq"], None
        self._health, self._reason, self._change = Health.CHANGING, "", None

    def _compile(self, path: str) -> None:
        told = self._told
        options = ("--version", str(told[0]), told[1], path) if path else ("--own-file",)
        self._compiling = True
        compile_file(self._parts.loop, self._parts.service_set.plan, self._compiled, options)

    def _compiled(self, result: Plan | ConfigError) -> None:
        self._compiling = False
        assert self._turn is not None
        if (self._turn["number"], self._turn["digest"]) != self._told:  # another version came since
            self._follow()
        elif not self._parts.service_set.closing:
            self._apply(result)
        self._tell()

    def _apply(self, result: Plan | ConfigError) -> None:
        if isinstance(result, ConfigError):
            self._fail(result.message)
            return
        told, before = self._told, self._in_force
        alive = {name: i.incarnation for name, i in self._parts.service_set.instances.items() if i.alive}
        try:  # first: a daemon that dies in between is followed by one that takes the version for an edited file
            self._choose(told, Change((), (), alive))
        except OSError as error:
            self._fail(f"the version cannot be kept in {self._files.directory}: {error.strerror}")
            return
        self._in_force = told
        difference = apply_edits(self._parts, result, False, {})
        if isinstance(difference, SupervisorError):
            self._in_force = before
            with suppress(OSError):
                self._files.choose(before, None, kept=told)  # what is held is put in force from there a moment later
            if isinstance(difference, OperationFailed):
                self._turn_back(result, difference)
            else:
                self._fail(difference.message)
            return
        replaced = (*difference["added"], *difference["restarted"])
        self._change = Change(replaced, tuple(difference["rolled"]), alive)
        with suppress(OSError):  # what runs is watched all the same
            self._files.choose(told, self._change)
        self._look()

    def _choose(self, told: Version, change: Change) -> None:
        """Back to its own file a host has to come where nothing can be written, too.  OSError."""
        try:
            self._files.choose(told, change)
        except OSError as error:
            if told != OWN_FILE:
                raise
            self._files.choose(told, None)
            self._parts.say(
                "warning",
                f"that the change to {_named(told)} has begun cannot be kept in {self._files.directory}: "
                f"{error.strerror}; a daemon that starts before its end does not watch it on",
            )

    def _turn_back(self, plan: Plan, held: OperationFailed) -> None:
        """A service is still being rolled out: it is sent back, and the version put in force when that is done."""
        self._reason = held.message
        parts, rollouts = self._parts, self._parts.service_set.rollouts
        now = parts.now()
        for one in rollouts.shown(now) if rollouts is not None else ():
            if one["state"] == "running":
                with suppress(OperationFailed):
                    parts.engine.order(parts.service_set.steer("undo", one["service"], now))

        def again() -> None:
            if not parts.service_set.closing:
                self._apply(plan)
                self._tell()

        self._cancel_attempt = parts.loop.call_at(now + AGAIN, again).cancel

    def _fail(self, reason: str) -> None:
        self._health, self._reason = Health.FAILED, reason[:LONGEST_REASON]
        self._parts.say("warning", f"{_named(self._told)} is not in force here: {reason}")

    # -- its end ---------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        self._parts.loop.call_at(self._parts.now() + LOOK, self._look)

    def _look(self) -> None:
        """Whether all that was started or replaced is ready, or cannot be."""
        change = self._change
        if change is None or self._health is not Health.CHANGING:
            return
        now = self._parts.now()
        rollouts = self._parts.service_set.rollouts
        shown = {one["service"]: one for one in rollouts.shown(now)} if rollouts is not None else {}
        found = judged(change, self._view.status()["instances"], shown)
        if found is False:
            self._watch()
            return
        self._change = None
        if found is True:
            self._health, self._reason = Health.READY, ""
            self._parts.say("info", f"{_named(self._told)} is in force")
            with suppress(OSError):
                self._files.choose(self._told, None)
        else:
            self._fail(str(found))
        self._tell()


class _Files:
    """The texts of versions in a directory, and which of them this host runs.  They may hold secrets: mode 600."""

    def __init__(self, directory: str) -> None:
        self.directory = directory

    def has(self, version: Version) -> bool:
        """Whether the text of a version is there, undamaged."""
        text = self.read(version)
        return text is not None and digest_of(text) == version[1]

    def read(self, version: Version) -> str | None:
        """The text of a version; None where it cannot be read."""
        try:
            return Path(self._path(version)).read_bytes().decode()
        except (OSError, ValueError):
            return None

    def write(self, version: Version, text: str) -> str:
        """Keep the text of a version, unless it is there; its path.  OSError."""
        path = self._path(version)
        if not self.has(version):
            Path(self.directory).mkdir(mode=0o700, exist_ok=True)
            _replace(path, text)
        return path

    def choose(self, version: Version, change: Change | None, kept: Version = NONE) -> None:
        """From now on this version runs, also after the end of this daemon.  `change`: whose end is not known yet.

        Texts of other versions than that and `kept` are removed when it has ended.  OSError."""
        record = Path(self.directory) / VERSION
        if version == OWN_FILE and change is None:
            record.unlink(missing_ok=True)
        else:
            file = os.path.basename(self._path(version)) if version != OWN_FILE else ""  # noqa: PTH119
            content: dict[str, Any] = {"number": version[0], "digest": version[1], "file": file}
            if change is not None:
                content["change"] = {
                    "replaced": change.replaced,
                    "rolled": change.rolled,
                    "before": dict(change.before),
                }
            Path(self.directory).mkdir(mode=0o700, exist_ok=True)
            _replace(str(record), json.dumps(content))
        if change is None:
            for path in Path(self.directory).glob("*.toml"):
                if str(path) not in (self._path(version), self._path(kept)):
                    path.unlink(missing_ok=True)

    def change(self, version: Version) -> Change | None:
        """The change to this version, if the daemon before has not seen its end."""
        try:
            record = json.loads((Path(self.directory) / VERSION).read_bytes())
            if (record["number"], record["digest"]) != version:
                return None
            raw = record["change"]
            return Change(tuple(raw["replaced"]), tuple(raw["rolled"]), _numbers(raw["before"]))
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None

    def _path(self, version: Version) -> str:
        return f"{self.directory}/{version[0]}-{version[1]}.toml"


def _numbers(raw: Mapping[str, Any]) -> dict[str, int]:
    return {str(name): int(number) for name, number in raw.items()}


def _named(version: Version) -> str:
    return f"version {version[0]} of the configuration" if version != OWN_FILE else "this host's own configuration"


def _replace(path: str, text: str) -> None:
    """Write a file that is there as a whole or not at all, also after the power fails.  OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with open(os.open(f"{path}.new", flags, 0o600), "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        os.replace(f"{path}.new", path)  # noqa: PTH105
    except OSError:  # a disk that is full is not filled with halves of texts
        with suppress(OSError):
            os.unlink(f"{path}.new")  # noqa: PTH108
        raise
