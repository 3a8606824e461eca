"""Everything that touches the outside world, one package for each outside thing.  The rules are in `core`."""
