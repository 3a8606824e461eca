"""Compares failure detectors on equal traces at equal detection times, and tunes them; the daemon does not use it."""
