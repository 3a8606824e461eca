"""Files of circus as services: what circus 0.19.0 runs."""
