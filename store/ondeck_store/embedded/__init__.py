"""A PostgreSQL of the project's own, started and stopped by the programs that use it."""
