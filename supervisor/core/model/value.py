"""`value`: a frozen dataclass that shares comparison, hash, text and protection with all others.

`dataclass` compiles seven functions for each class, which costs a daemon 5 KiB and a millisecond for each; but only the
constructor differs in more than the names of the fields.
"""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NoReturn

__all__ = ("value",)

if TYPE_CHECKING:
    from dataclasses import dataclass as value
else:
    from dataclasses import dataclass

    def value(*, frozen, slots, kw_only=False):
        """As `dataclass` with these arguments. `frozen` and `slots` are always True; type checkers read them."""
        assert frozen and slots

        def decorate(cls):
            made = dataclass(frozen=True, slots=True, kw_only=kw_only, eq=False, repr=False)(cls)
            made._compared = attrgetter(*(f.name for f in fields(made) if f.compare))
            made.__eq__, made.__hash__, made.__repr__ = _equal, _hash, _text
            made.__setattr__ = made.__delattr__ = _refuse
            return made

        return decorate


def _equal(self: Any, other: Any) -> Any:
    return self._compared(self) == self._compared(other) if other.__class__ is self.__class__ else NotImplemented


def _hash(self: Any) -> int:
    return hash(self._compared(self))


def _text(self: Any) -> str:
    return f"{type(self).__qualname__}({', '.join(f'{f.name}={getattr(self, f.name)!r}' for f in fields(self))})"


def _refuse(self: Any, name: str, *_: object) -> NoReturn:
    raise FrozenInstanceError(f"cannot assign to or delete {name!r} of {type(self).__name__}")
