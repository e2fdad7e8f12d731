"""Training data: rows from the store or from files, and datasets."""
