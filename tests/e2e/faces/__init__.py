"""What is printed, shown and waited for."""
