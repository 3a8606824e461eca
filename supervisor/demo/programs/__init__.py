"""The programs of the worked example; each runs as a script, in a copy of this folder."""
