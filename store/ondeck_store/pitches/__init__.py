"""Pitches, written with their history and read as data frames."""
