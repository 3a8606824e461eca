"""The daemons of this host."""
