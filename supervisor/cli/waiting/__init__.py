"""Waits until an order has taken effect, and shows what happens during that time."""
