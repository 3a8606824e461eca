"""The Prometheus text exposition format, version 0.0.4."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

Sample = tuple[Mapping[str, str], float | int | bool | None]


class Exposition:
    """Metric families, one after the other.  Samples without a value, and families without samples, are left out."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def family(self, name: str, kind: str, explanation: str, samples: Iterable[Sample]) -> None:
        """`kind`: counter or gauge.  Labels come out in the order given."""
        lines = [f"{name}{_labels(labels)} {_number(value)}" for labels, value in samples if value is not None]
        if lines:
            self._lines += [f"# HELP {name} {_escape(explanation)}", f"# TYPE {name} {kind}", *lines]

    def histogram(
        self, name: str, explanation: str, series: Iterable[tuple[Mapping[str, str], Iterable[tuple[str, int]], float]]
    ) -> None:
        """`series`: labels, cumulative counts by upper bound (the last `+Inf`), and the sum of what was observed."""
        lines = []
        for labels, buckets, total in series:
            count = 0
            for bound, count in buckets:
                lines.append(f"{name}_bucket{_labels({**labels, 'le': bound})} {count}")
            lines += [f"{name}_sum{_labels(labels)} {_number(total)}", f"{name}_count{_labels(labels)} {count}"]
        if lines:
            self._lines += [f"# HELP {name} {_escape(explanation)}", f"# TYPE {name} histogram", *lines]

    def text(self) -> str:
        return "\n".join([*self._lines, ""])


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escape(value, quote=True)}"' for name, value in labels.items()) + "}"


def _escape(text: str, quote: bool = False) -> str:
    text = text.replace("\\", "\\\\").replace("\n", "\\n")
    return text.replace('"', '\\"') if quote else text


def _number(value: float) -> str:
    return str(int(value)) if isinstance(value, int) else repr(float(value))
