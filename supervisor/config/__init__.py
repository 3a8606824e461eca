"""TOML text → Plan, or all errors at once, each with its line and key path."""
