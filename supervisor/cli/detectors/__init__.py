"""`supervisor detectors`: one file a command, and the group of them."""
