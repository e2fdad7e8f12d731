"""PostgreSQL storage: pitches, players and the ingest ledger."""
