"""Words of other tools, and what happens when they are typed here."""
