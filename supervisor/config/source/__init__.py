"""Finds, reads and parses services.toml, and gives each problem its line; knows no key but [supervisor]."""
