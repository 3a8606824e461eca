"""Files of supervisord as services: what supervisord 4.3 runs."""
