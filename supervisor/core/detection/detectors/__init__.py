"""Failure detectors: beats in, suspicion out.  `registry` has them by name, `protocol` says what each of them does."""
