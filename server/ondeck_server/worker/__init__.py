"""A worker process: serves calls until it drains."""
