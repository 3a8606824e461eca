"""The errors that users see: each has an exit code and, where possible, a hint."""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing takes time
if TYPE_CHECKING:
    from typing import ClassVar


class SupervisorError(Exception):
    """An error with a message and a hint. Commands print them, without a traceback."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message


class OperationFailed(SupervisorError):
    """The operation was tried and failed."""


class UsageError(SupervisorError):
    """The request makes no sense."""

    exit_code = 2


class OtherFile(UsageError):
    """The daemon runs another file than the one that is meant."""


class ConfigError(SupervisorError):
    """services.toml cannot be used. The message holds every problem found, each with line and key path."""

    exit_code = 2


class NoSuchService(SupervisorError):
    """No service, instance or group of that name."""

    exit_code = 4


class NoDaemon(SupervisorError):
    """No daemon answers on the control socket."""

    exit_code = 5


class NoAnswer(NoDaemon):
    """A daemon is there and gives no answer in time."""


class NotListening(NoDaemon):
    """No daemon listens on the control socket: none runs."""
