"""The Prometheus text exposition format, version 0.0.4."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

Sample = tuple[str, float | int | bool | None]
"""Labels as `labels` formats them, and a value."""


class Exposition:
    """Metric families in order. Samples without a value, and families without samples, are left out."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def family(self, name: str, kind: str, explanation: str, samples: Iterable[Sample]) -> None:
        """Add a family. `kind`: counter or gauge."""
        lines = [
            f"{name}{{{text}}} {_number(value)}" if text else f"{name} {_number(value)}"
            for text, value in samples
            if value is not None
        ]
        self._add(name, kind, explanation, lines)

    def histogram(
        self, name: str, explanation: str, series: Iterable[tuple[str, Iterable[tuple[str, int]], float]]
    ) -> None:
        """Add a histogram. `series`: labels, cumulative counts by upper bound (the last `+Inf`), and the sum of all
        values.
        """
        lines = []
        for text, buckets, total in series:
            count = 0
            for bound, count in buckets:
                lines.append(f'{name}_bucket{{{text},le="{bound}"}} {count}')
            lines += [f"{name}_sum{{{text}}} {_number(total)}", f"{name}_count{{{text}}} {count}"]
        self._add(name, "histogram", explanation, lines)

    def text(self) -> str:
        return "\n".join([*self._lines, ""])

    def _add(self, name: str, kind: str, explanation: str, lines: list[str]) -> None:
        if lines:
            self._lines += [f"# HELP {name} {_escape(explanation)}", f"# TYPE {name} {kind}"]
            self._lines += lines


def labels(pairs: Mapping[str, str]) -> str:
    """`name="value",…`, in the order given."""
    return ",".join([f'{name}="{_escape(value, quote=True)}"' for name, value in pairs.items()])


def _escape(text: str, quote: bool = False) -> str:
    text = text.replace("\\", "\\\\").replace("\n", "\\n")
    return text.replace('"', '\\"') if quote else text


def _number(value: float) -> str:
    return repr(value) if type(value) is not bool else "1" if value else "0"
