"""Observes instances: probes, output, files and the notify socket become events.  Nothing here judges silence."""
