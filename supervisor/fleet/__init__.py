"""Fleet: installs the supervisor and its services.toml on several hosts over ssh (`supervisor fleet`)."""
