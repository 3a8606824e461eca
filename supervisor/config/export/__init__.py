"""Writes what other programs read: the JSON Schema for editors and the systemd unit."""
