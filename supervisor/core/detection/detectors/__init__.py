"""Failure detectors: beats in, suspicion out.  `registry` makes them by name; `protocol` says what each of them
does."""
