"""Players, their names and ids, and an operator's overrides."""
