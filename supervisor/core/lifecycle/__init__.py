"""Lifecycle: the states of one instance, and the handlers of its events.  Other instances are the business of
`services`."""
