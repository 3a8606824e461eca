"""The names of cgroups beside those of instances, which have the instances' names."""

EXEC_GROUP = "exec:"
"""How the cgroup of what `supervisor exec` runs for an instance begins; no instance can have such a name."""
