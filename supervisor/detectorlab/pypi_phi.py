"""Runs the PyPI package `phi-accrual-failure-detector`, a port of Akka's detector, with the values of its README.

It is installed in a folder whose name no import statement can spell, so it is imported from there by path. Its φ is
−log₁₀(e/(1+e)) with an e that underflows to 0 some 21 deviations after the mean: from then on `phi`, and with it
`heartbeat`, raises ValueError for ever, because a beat that raised is not recorded.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from supervisor.core.detection.detectors import logistic
from supervisor.detectorlab import reimplementations as peers

_MILLIS = 1000.0
_NEVER = 1e300


class PypiPhi:
    """The package as a ComparedDetector. `period` is in seconds. Once it has raised, it suspects at every beat."""

    NAME = "phi-accrual-failure-detector"

    def __init__(self, period: float, threshold: float) -> None:
        self._threshold = threshold
        self._unit = period * _MILLIS
        self._pause, self._least = 3.0 * self._unit, peers.LEAST_DEVIATION * self._unit
        self.raised = ""
        """The first exception that it raised."""
        self._now = 0
        made = _module().PhiAccrualFailureDetector(
            threshold, peers.WINDOW, round(self._least), round(self._pause), round(self._unit)
        )
        made._get_time = lambda: self._now
        self._made = made

    @classmethod
    def installed(cls) -> bool:
        return _folder() is not None

    def start(self, now: float) -> None:
        """Do nothing: the package has no start."""

    def heartbeat(self, at: float, sent: float | None = None) -> bool:
        self._now = round(at * _MILLIS)
        try:
            self._made.heartbeat()
        except (ValueError, OverflowError) as error:
            self.raised = self.raised or f"{type(error).__name__}: {error}"
        return not self.raised

    def suspicion(self, at: float) -> float:
        try:
            return float(self._made._phi(round(at * _MILLIS)))
        except (ValueError, OverflowError):
            return _NEVER

    def suspect_at(self, threshold: float | None = None) -> float | None:
        """The inverse of the package's formula, which the package does not offer."""
        state = self._made._state.get()
        if state.timestamp is None:
            return None
        history = state.history
        z = logistic.phi_inverse(self._threshold if threshold is None else threshold)
        spread = max(history.std_dev(), self._least)
        return float(state.timestamp + history.mean() + self._pause + z * spread) / _MILLIS


def _folder() -> Path | None:
    try:
        folder = Path(str(distribution(PypiPhi.NAME).locate_file(PypiPhi.NAME)))
    except PackageNotFoundError:
        return None
    return folder if folder.is_dir() else None


def _module() -> Any:
    name = "phi_accrual_failure_detector"
    if name not in sys.modules:
        folder = str(_folder())
        sys.path.append(folder)
        try:
            import_module(name)
        finally:
            sys.path.remove(folder)
    return sys.modules[name]
