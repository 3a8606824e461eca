"""Runs hooks in child processes; which events trigger them is decided in core/services/hook_triggers."""
