"""Procfiles as services: what foreman 0.87.2 runs."""
