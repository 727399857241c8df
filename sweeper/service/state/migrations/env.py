"""Alembic's entry: the connection is the one that `Database.upgrade` has opened."""

from alembic import context

from sweeper.service.state.tables import Table

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
