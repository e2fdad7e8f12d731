"""`ondeck up`: database, models, server and ingest worker on one machine."""
