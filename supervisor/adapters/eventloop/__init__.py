"""The event loop and what runs directly on it: name resolution, descriptor passing, the log on stderr."""
