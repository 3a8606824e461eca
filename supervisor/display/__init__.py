"""What the command line, the dashboard and the web view share: numbers, rows and words for a person."""
