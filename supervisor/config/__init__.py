"""Reads services.toml into a Plan, or reports all its errors at once, each with line and key path; never the daemon."""
