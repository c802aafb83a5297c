"""Tenancy: groups, ACL rules, limits, clusters, stored templates and stays; what there is gets owners' rights and numbers.

What is converted is told in one event, so that telling the log again gives what the tables have.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

#: ``{table: (key, columns beside it)}``
_RECORDS: dict[str, tuple[sa.Column[str] | sa.Column[int], tuple[sa.Column[object], ...]]] = {
    "groups": (sa.Column("name", sa.Text, primary_key=True), ()),
    "acl_rules": (sa.Column("rule_id", sa.Integer, primary_key=True, autoincrement=False), ()),
    "default_limits": (sa.Column("of", sa.Text, primary_key=True), ()),
    "clusters": (
        sa.Column("cluster_id", sa.Integer, primary_key=True, autoincrement=False),
        (sa.Column("name", sa.Text, nullable=False),),
    ),
    "templates": (
        sa.Column("template_id", sa.Integer, primary_key=True, autoincrement=False),
        (sa.Column("name", sa.Text, nullable=False),),
    ),
    "history_records": (
        sa.Column("history_id", sa.Text, primary_key=True),
        (
            sa.Column("vm_id", sa.Integer, nullable=False),
            sa.Column("began_at_s", sa.Float, nullable=False),
            sa.Column("ended_at_s", sa.Float, nullable=True),
        ),
    ),
}


def upgrade() -> None:
    """Make the new tables and convert what there is."""
    for name, (key, columns) in _RECORDS.items():
        op.create_table(name, key, *columns, sa.Column("body", sa.Text, nullable=False))
