"""An in-memory directory of players, read from the database."""
