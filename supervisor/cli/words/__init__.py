"""What people type who come from other tools."""
