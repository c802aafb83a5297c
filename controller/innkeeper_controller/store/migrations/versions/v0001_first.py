"""The first schema: a table a kind of record, the log, the answers and what is known of the cluster itself."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

#: ``{table: (key, columns beside it)}``
_RECORDS: dict[str, tuple[sa.Column[str] | sa.Column[int], tuple[sa.Column[str] | sa.Column[int], ...]]] = {
    "users": (sa.Column("name", sa.Text, primary_key=True), ()),
    "hosts": (
        sa.Column("host_id", sa.Integer, primary_key=True, autoincrement=False),
        (sa.Column("name", sa.Text, nullable=False), sa.Column("state", sa.Text, nullable=False)),
    ),
    "datastores": (sa.Column("name", sa.Text, primary_key=True), ()),
    "images": (
        sa.Column("image_id", sa.Integer, primary_key=True, autoincrement=False),
        (sa.Column("name", sa.Text, nullable=False), sa.Column("state", sa.Text, nullable=False)),
    ),
    "networks": (
        sa.Column("network_id", sa.Integer, primary_key=True, autoincrement=False),
        (sa.Column("name", sa.Text, nullable=False),),
    ),
    "leases": (
        sa.Column("lease_id", sa.Text, primary_key=True),
        (sa.Column("network_id", sa.Integer, nullable=False), sa.Column("vm_id", sa.Integer, nullable=True)),
    ),
    "operations": (
        sa.Column("operation_id", sa.Text, primary_key=True),
        (sa.Column("subject", sa.Text, nullable=False), sa.Column("status", sa.Text, nullable=False)),
    ),
    "vms": (
        sa.Column("vm_id", sa.Integer, primary_key=True, autoincrement=False),
        (
            sa.Column("name", sa.Text, nullable=False),
            sa.Column("state", sa.Text, nullable=False),
            sa.Column("owner", sa.Text, nullable=False),
            sa.Column("host_id", sa.Integer, nullable=True),
        ),
    ),
}


def upgrade() -> None:
    """Make the tables in an empty database."""
    for name, (key, columns) in _RECORDS.items():
        op.create_table(name, key, *columns, sa.Column("body", sa.Text, nullable=False))
    _make_events()
    op.create_table(
        "answers",
        sa.Column("request_id", sa.Text, primary_key=True),
        sa.Column("user_name", sa.Text, nullable=False),
        sa.Column("request_sha256", sa.Text, nullable=False),
        sa.Column("answer", sa.Text, nullable=True),
        sa.Column("at_s", sa.Float, nullable=False),
    )
    op.create_table(
        "meta",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    _make_indexes()


def _make_events() -> None:
    op.create_table(
        "events",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False),
        sa.Column("at_s", sa.Float, nullable=False),
        sa.Column("what", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("operation_id", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("changes", sa.Text, nullable=True),
    )
    op.create_index("events_by_subject", "events", ["subject", "seq"])


def _make_indexes() -> None:
    unfinished = sa.text("status IN ('running', 'undoing')")
    live = sa.text("state <> 'DONE'")
    op.create_index("answers_by_time", "answers", ["at_s"])
    op.create_index("operations_by_subject", "operations", ["subject"])
    op.create_index(
        "operations_unfinished", "operations", ["status"], sqlite_where=unfinished, postgresql_where=unfinished
    )
    op.create_index("vms_live", "vms", ["state"], sqlite_where=live, postgresql_where=live)
