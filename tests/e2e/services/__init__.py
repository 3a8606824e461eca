"""What a service asks for: its order, its sockets, its stop, its replicas and their rollout."""
