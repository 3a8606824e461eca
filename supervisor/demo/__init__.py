"""The worked example: services.toml, the programs that it starts, and the folder in which it runs."""
