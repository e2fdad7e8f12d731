"""`ondeck ingest` and `ondeck players`: commands and their output."""
