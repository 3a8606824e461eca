"""The daemon's two connections of a cluster: with its agent, and with the dead-man process."""
