"""Feeds random input to the notify socket, the control API and the configuration."""
