"""What is known of the programs that people run: one TOML file each in `book`, read where a command names it."""
