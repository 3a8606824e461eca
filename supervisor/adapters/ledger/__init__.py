"""Stores and reads events, evidence and saved state in SQLite; decides nothing."""
