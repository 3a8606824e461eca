"""Short forms of the fault injection, and its judge."""
