"""ZooKeeper, through kazoo: the only room that imports it."""
