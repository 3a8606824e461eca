"""Lifecycle: the states of one instance, and the handlers of its events.  Rules between instances are in `services`."""
