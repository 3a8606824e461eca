"""Serves the web view to browsers: its pages, their stream, and the orders that they give."""
