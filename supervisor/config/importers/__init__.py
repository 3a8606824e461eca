"""Reads the files of other process managers as services of services.toml, with what the real tool makes of them."""
