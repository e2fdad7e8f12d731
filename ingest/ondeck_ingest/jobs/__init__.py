"""Background ingest: schedule, queue and worker, on PgQueuer."""
