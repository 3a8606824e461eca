"""Single kernel interfaces: /proc, pidfds, capabilities, locks, directories.  Nothing here knows services."""
