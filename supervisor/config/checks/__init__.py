"""Checks between keys, between services, and against this machine; each reports problems and changes nothing."""
