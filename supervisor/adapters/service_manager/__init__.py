"""Notifies the service manager that started the daemon (sd_notify); decides nothing."""
