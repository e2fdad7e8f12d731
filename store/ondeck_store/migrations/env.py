"""Alembic's way in: the connection is handed over by `migrate`, which owns the transaction."""

from alembic import context

from ondeck_store.tables.pitches import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
