"""Everything that touches the outside world, one outside thing a room.  The rules are in `core`."""
