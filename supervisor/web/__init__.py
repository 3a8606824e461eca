"""The web view: pages for a browser, made of the daemon's documents.  Pure; daemon/web/ serves them."""
