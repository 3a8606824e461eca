"""Hurts services, or the daemon, on purpose and tells what became of each."""
