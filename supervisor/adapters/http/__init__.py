"""A small HTTP/1.1 server on the event loop; knows nothing of what it serves."""
