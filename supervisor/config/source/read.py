"""Reads a TOML file and parses it, or says why that is not possible."""

from __future__ import annotations

import os
import stat

from supervisor.errors import ConfigError

TYPE_CHECKING = False  # importing typing and tomllib takes time, and every command reads its file
if TYPE_CHECKING:
    from typing import Any

LARGEST = 4 * 1024 * 1024
"""Bytes. Ten thousand services fit; a larger file is not a configuration."""

_HINTS = {
    "Invalid value": 'A string needs straight quotes: "…".  true and false are written in small letters.',
    r"Illegal character '\n'": "A string ends in the line in which it begins: the quote at its end is missing.",
}
"""By tomllib's message: what it most often means."""
_POSITION = r"(?s)(.*) \(at (?:line (\d+), column \d+|end of document)\)"


def read_text(path: str | os.PathLike[str]) -> str:
    """The text of a TOML file.

    Raises ConfigError if it is missing, unreadable, not a regular file, too large, not UTF-8, or, for root, if anyone
    else could change it.
    """
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise ConfigError(f"{path} is a directory", f"Name the file in it: -f {path}/services.toml")
        if not stat.S_ISREG(status.st_mode):
            raise ConfigError(f"{path} is not a regular file")
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # it may be another by now: a pipe has no end
        with open(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise ConfigError(f"{path} is not a regular file")
            content = file.read(LARGEST + 1) or b""
        if os.geteuid() == 0:
            from supervisor.config.source.trust import require_trusted

            try:
                require_trusted(path)
            except ValueError as error:
                raise ConfigError(f"refused as root: {error}") from None
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist", "`supervisor init` writes an example.") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{path} cannot be read: {reason}") from None
    if len(content) > LARGEST:
        size = max(status.st_size, len(content)) / 1024**2
        raise ConfigError(f"{path} is too large for a configuration: {size:.1f} MiB, the limit is 4 MiB")
    try:
        return content.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: not UTF-8: byte 0x{content[error.start]:02x}") from None


def parse(text: str, shown: str) -> dict[str, Any]:
    """The tables of TOML text; `shown` is the file's name for the user. Raises ConfigError with the line of a syntax
    error.
    """
    import tomllib

    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ConfigError(f"{shown}: nested too deeply to be read") from None
    except ValueError as error:
        import re

        match = re.fullmatch(_POSITION, str(error))
        if not match:
            raise ConfigError(f"{shown}: not valid TOML: {error}") from None
        line = int(match[2]) if match[2] else len(text.splitlines())
        ending = "" if match[2] else ", and the file ends there"
        message = f"{shown}:{max(line, 1)}: not valid TOML: {match[1]}{ending}"
        raise ConfigError(message, _HINTS.get(match[1], "")) from None
