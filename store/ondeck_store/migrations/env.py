"""Entry point of Alembic; `migrate` passes the connection and owns the transaction."""

from alembic import context

from ondeck_store.tables.statcast import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
