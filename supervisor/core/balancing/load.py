"""What each instance has carried: requests and errors, counted over all workers of HAProxy and all its slots."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from supervisor.core.balancing.answers import Statistics
from supervisor.core.balancing.slots import Slot, SlotState

if TYPE_CHECKING:
    from supervisor.core.model.balance_documents import Balance, BalancedSlot
    from supervisor.core.model.spec import ServiceSpec


@dataclass(slots=True)
class Carried:
    """`requests` and `errors` since the daemon began."""

    requests: int = 0
    errors: int = 0


class Load:
    """Computes from looks at HAProxy what each instance has carried."""

    def __init__(self) -> None:
        self._carried: dict[tuple[str, str], Carried] = {}
        self._last: dict[tuple[str, int], tuple[int, int, int]] = {}
        self._rows: dict[tuple[str, int], Statistics] = {}

    def take(self, rows: Iterable[Statistics], worker: int, slots: Mapping[str, Sequence[Slot]]) -> None:
        """Take what a look showed.  HAProxy counts from zero in each worker, and goes on where a slot changes hands."""
        for row in rows:
            key = row.backend, row.seen.number
            self._rows[key] = row
            pid, requests, errors = self._last.get(key, (worker, row.requests, row.errors))
            if pid != worker or row.requests < requests:
                requests = errors = 0
            self._last[key] = worker, row.requests, row.errors
            numbered = slots.get(row.backend, ())
            if row.seen.number <= len(numbered) and (instance := numbered[row.seen.number - 1].instance):
                carried = self._carried.setdefault((row.backend, instance), Carried())
                carried.requests += row.requests - requests
                carried.errors += max(0, row.errors - errors)

    def view(self, spec: ServiceSpec, slots: Sequence[Slot], *, up: bool, now: float) -> Balance:
        """The service with its slots in use; a free slot is only counted."""
        assert spec.balance is not None
        host, port = spec.balance.listen
        used = [slot for slot in slots if slot.state is not SlotState.FREE]
        rows = [self._slot(spec.name, slot, now) for slot in used]
        names = dict.fromkeys((*spec.instances, *(slot.instance for slot in used if "/" in slot.instance)))
        carried = {name: self._carried.get((spec.name, name), Carried()) for name in names}
        requests = sum(one.requests for one in carried.values())
        return {
            "service": spec.name,
            "up": up,
            "listen": f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
            "mode": spec.balance.mode,
            "algorithm": spec.balance.algorithm,
            "slots": rows,
            "free": len(slots) - len(used),
            "requests": requests,
            "load": round(requests / len(carried), 3),
            "carried": {name: one.requests for name, one in carried.items()},
        }

    def _slot(self, service: str, slot: Slot, now: float) -> BalancedSlot:
        row = self._rows.get((service, slot.number))
        carried = self._carried.get((service, slot.instance), Carried())
        return {
            "slot": slot.number,
            "instance": slot.instance or None,
            "address": slot.address,
            "state": slot.state.value,
            "since_s": round(max(0.0, now - slot.since), 3),
            "status": row.status if row and row.seen.ready == (slot.state is SlotState.ACTIVE) else None,
            "weight": row.weight if row else None,
            "sessions": row.seen.sessions if row else 0,
            "queue": row.seen.queue if row else 0,
            "rate": row.rate if row else 0,
            "requests": carried.requests,
            "errors": carried.errors,
        }
