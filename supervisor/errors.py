"""Everything that can go wrong in front of a user: each error has an exit code and, where there is one, a way out."""

from __future__ import annotations

from typing import ClassVar


class SupervisorError(Exception):
    """What is wrong, and what to do about it.  Faces print it; nobody sees a traceback for it."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message


class OperationFailed(SupervisorError):
    """What was asked for was tried and did not come about."""


class UsageError(SupervisorError):
    """The command line asks for something that makes no sense."""

    exit_code = 2


class ConfigError(SupervisorError):
    """services.toml cannot be used.  The message holds every problem found, each with line and key path."""

    exit_code = 2


class NoSuchService(SupervisorError):
    """No service, instance or group of that name."""

    exit_code = 4


class NoDaemon(SupervisorError):
    """No daemon answers on the control socket."""

    exit_code = 5
