"""Real programs under supervision: web servers, workers, a proxy, clients of the heartbeat."""
