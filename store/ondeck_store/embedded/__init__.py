"""Embedded PostgreSQL: one cluster in the home folder, which the programs start, share and stop."""
