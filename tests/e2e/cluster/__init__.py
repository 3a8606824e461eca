"""Several daemons on one machine that are the hosts of one cluster, on a real ZooKeeper."""
