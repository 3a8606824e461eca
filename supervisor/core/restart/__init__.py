"""Restart: whether and when a failed instance is started again.  It imports only `core.model`."""
