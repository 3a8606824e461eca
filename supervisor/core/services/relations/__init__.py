"""What one instance means for another: dependencies, groups, fallbacks, open breakers, a common silence."""
