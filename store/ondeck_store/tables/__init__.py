"""Table definitions of the current schema."""
