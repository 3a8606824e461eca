"""Collects evidence about a suspect before it is acted on.  Nothing here waits for the suspect without a limit."""
