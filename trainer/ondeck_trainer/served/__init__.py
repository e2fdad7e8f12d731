"""Scores of served predictions against the outcomes that ingest has stored."""
