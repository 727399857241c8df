"""Which token another one was made with: it is revoked with that one.

Of tokens that are there already the audit log knows it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, and fill it."""
    op.add_column("tokens", sa.Column("made_with", sa.String(), nullable=True))
    op.create_index(op.f("ix_tokens_made_with"), "tokens", ["made_with"], unique=False)
    op.execute(
        "UPDATE tokens SET made_with = (SELECT max(token_id) FROM audit "
        "WHERE action = 'make a token' AND target = tokens.id)"
    )


def downgrade() -> None:
    """Drop the column."""
    op.drop_index(op.f("ix_tokens_made_with"), "tokens")
    op.drop_column("tokens", "made_with")
