"""Listening sockets opened for services; which of them stay open is decided in core/services/socket_policy."""
