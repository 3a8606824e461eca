"""Ecosystem files of PM2 as services: what PM2 7.0.4 runs."""
