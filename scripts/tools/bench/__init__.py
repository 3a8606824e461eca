"""Measures this supervisor against its peers and prints one table."""
