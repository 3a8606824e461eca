"""The daemon: builds the adapters, connects them with the rules and runs them.  Decisions are in `core`."""
