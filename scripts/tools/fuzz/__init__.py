"""Feeds garbage to whatever listens to others."""
