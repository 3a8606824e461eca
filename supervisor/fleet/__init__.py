"""Fleet: brings the supervisor and its services.toml to several hosts over ssh (`supervisor fleet`)."""
