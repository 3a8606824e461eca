"""The daemon's part in a cluster: what it sends to the agent and the dead-man, and what follows from their messages."""
