"""From one version of the tables to the next; Alembic runs them, each once"""
