"""Detection: failure detectors, the targets that set them, and other explanations of a silence.  It imports only
`core.model`."""
