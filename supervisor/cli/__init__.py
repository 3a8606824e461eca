"""The command `supervisor`: thin commands over client.py, one module each."""
