"""Ingest of Statcast pitches and of the player register into PostgreSQL."""
