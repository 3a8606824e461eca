"""The daemon's part in a cluster: what it tells the agent and the dead-man, and what follows from their words."""
