"""Starts, marks, finds, groups, measures and ends processes.  When to do so is decided elsewhere."""
