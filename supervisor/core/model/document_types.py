"""The kinds of values that documents are made of, such as seconds and states."""

from __future__ import annotations

from typing import Annotated, Any, Literal

JSON = dict[str, Any]
"""A JSON object whose fields are not fixed."""
Goal = Literal["up", "down"]
State = Literal["stopped", "starting", "running", "suspect", "stopping", "backoff", "exited", "failed"]
Breaker = Literal["closed", "open", "half-open"]
ServiceType = Literal["service", "oneshot"]
Seconds = Annotated[float, "seconds"]
Stamp = Annotated[str, ("format", "date-time")]
