"""What the scripts run: measuring, breaking, fuzzing and drawing; each a package or module with a `main`."""
