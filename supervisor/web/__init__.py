"""The web view: pages for a browser, made of the daemon's documents.  Pure; daemon/web_view.py serves them."""
