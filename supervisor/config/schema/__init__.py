"""The tables and keys of services.toml, and the readers that check and convert each value."""
