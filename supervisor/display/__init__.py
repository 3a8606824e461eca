"""Formats numbers, states and rows of the status for the command line and the dashboard."""
