"""Runs the revisions on the connection that ``store.upgrade`` gives; alembic executes this file itself."""

from alembic import context

# One transaction for all revisions: a power cut half-way leaves the old schema.
context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
