"""Domain model without I/O: Statcast rows, players, features, tasks, evaluation and explanation."""
