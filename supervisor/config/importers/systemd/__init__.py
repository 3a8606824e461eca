"""Units of systemd as services: what systemd 252 runs."""
