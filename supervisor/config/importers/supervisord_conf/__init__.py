"""Parts of the importer of supervisord.conf: its syntax, its programs, their settings in the words of services.toml."""
