"""Keeps `inspect` out of the daemon's memory until something needs it.

`dataclasses` imports it, and with it `ast`, `dis` and `tokenize`: 1.2 MiB.  In Python 3.11 it uses it only to write a
docstring for a class that has none, such as some of h11.  From 3.12 on it uses it for each class, and nothing is saved.
`importlib.util.LazyLoader` does not help: the next import statement looks at `__spec__`, and that loads the module.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class _Late(ModuleType):
    """Stands for the module in `sys.modules` until an attribute of it is asked for."""

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        if attribute == "signature" and sys._getframe(1).f_globals.get("__name__") == "dataclasses":
            return lambda _cls: ""  # the docstring is the name alone
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(import_module(self.__name__), attribute)


def import_late() -> None:
    """Import `inspect` when it is first used, unless it is there already."""
    if "inspect" not in sys.modules:
        sys.modules["inspect"] = _Late("inspect")
