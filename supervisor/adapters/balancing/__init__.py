"""HAProxy: its program, its sockets and its files."""
