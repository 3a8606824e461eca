"""Measures what known programs do under a manager, and compares it with supervisor/programs/book."""
