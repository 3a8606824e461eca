"""Prometheus metrics, rendered from records and status; imports neither the daemon nor the HTTP server."""
