"""The control API over HTTP; imports no module of the daemon, which implements the protocol in port.py."""
