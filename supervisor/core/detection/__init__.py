"""Detection: failure detectors, what they are set by, and what else explains a silence.  It imports only
`core.model`."""
