"""phi-supervisor: a process supervisor that notices a hang, not only an exit."""

__version__ = "0.1.0"
