"""The programs behind scripts/: benchmarks, fault injection, fuzzing and generated documents."""
