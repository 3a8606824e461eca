"""Commands about one instance or its processes."""
