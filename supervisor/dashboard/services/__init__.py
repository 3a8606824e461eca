"""Services of several instances: folding, and the texts of their rows and details."""
