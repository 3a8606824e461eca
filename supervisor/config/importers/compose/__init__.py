"""Compose files as services: what runs in the containers."""
