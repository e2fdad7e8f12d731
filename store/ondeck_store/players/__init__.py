"""Players, written and read."""
