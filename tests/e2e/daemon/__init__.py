"""The daemon itself: who may ask it, what it takes over, and what survives its end."""
