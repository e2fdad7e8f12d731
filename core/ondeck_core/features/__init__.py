"""Features that the models read, computed from instances."""
