"""Training data: rows from the store, datasets, splits by time."""
