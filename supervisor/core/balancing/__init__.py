"""Rules of load balancing: which slot of HAProxy an instance has, what the file says, when to reload."""
