"""The extra `fleet`: what only these commands need."""

from __future__ import annotations

import sys

from supervisor.errors import OperationFailed


def require_fabric() -> None:
    """OperationFailed where the extra is not installed."""
    try:
        import fabric  # noqa: F401
    except ImportError as error:
        raise OperationFailed(
            f"`supervisor fleet` needs Fabric, which is not installed (no module {error.name})",
            f"{sys.executable} -m pip install 'phi-supervisor[fleet]'",
        ) from None
