"""Reads systemd units, as systemd 252 does: `unit` is the importer."""
