"""The players: read from the database by a process of its own, mapped by every worker."""
