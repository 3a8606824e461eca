"""Hangs: how one is noticed, what holds it, what is found, and what is told."""
