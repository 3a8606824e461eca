"""The honest comparison of failure detectors: the same traces for all, equal detection time, whole curves."""
