"""Injects faults into services, or into the daemon, and reports what became of each."""
