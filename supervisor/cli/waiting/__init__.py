"""Waits until the effect of an order is there, and shows what happens meanwhile."""
