"""Tenancy: groups, ACL rules, limits, clusters, stored templates and stays; what there is gets groups and numbers.

What is converted is told in one event, so that telling the log again gives what the tables have.
"""

import json
import time
from collections.abc import Iterator
from typing import Any

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


#: ``{table: (kind, key)}`` of what is converted.
_KINDS = {
    "users": ("user", "name"),
    "datastores": ("datastore", "name"),
    "images": ("image", "image_id"),
    "networks": ("network", "network_id"),
    "vms": ("vm", "vm_id"),
}
_ADMINS = "oneadmin"
#: All were usable by everybody.
_FOR_ALL = 0o644
_FIRST_OWN_DATASTORE = 100
#: Fields of users that are no more.
_GONE = ("token_sha256", "role")
#: ``{name: number}`` of the datastores that OpenNebula's clients know by heart.
_DATASTORES = {"system": 0, "default": 1, "files": 2}

Change = tuple[str, int | str, dict[str, Any]]


def upgrade() -> None:
    """Make the new tables and convert what there is."""
    for name, (key, columns) in _RECORDS.items():
        op.create_table(name, key, *columns, sa.Column("body", sa.Text, nullable=False))
    connection = op.get_bind()
    users = list(_rows(connection, "users"))
    admins = {key for key, body in users if body.get("role") == "admin"}
    changes = [
        *_users(users),
        *_datastores(connection),
        *_shared(connection, "images"),
        *_networks(connection),
        *_vms(connection, admins),
    ]
    if changes:
        _tell(connection, changes)


def _rows(connection: sa.Connection, table: str, where: str = "") -> Iterator[tuple[Any, dict[str, Any]]]:
    key = _KINDS[table][1]
    statement = sa.text(f"SELECT {key}, body FROM {table}{where} ORDER BY {key}")  # noqa: S608 - names of our own
    for row in connection.execute(statement).all():
        yield row[0], json.loads(row[1])


def _users(users: list[tuple[Any, dict[str, Any]]]) -> Iterator[Change]:
    """The first administrator gets number 0, which OpenNebula's clients take for theirs."""
    ordered = sorted(users, key=lambda each: (each[1].get("role") != "admin", each[0]))
    for number, (name, body) in enumerate(ordered):
        groups = [_ADMINS] if body.get("role") == "admin" else ["users"]
        tokens = [{"token_sha256": body["token_sha256"]}] if body.get("token_sha256") else []
        yield "user", name, {"user_id": number, "groups": groups, "tokens": tokens}


def _datastores(connection: sa.Connection) -> Iterator[Change]:
    known = [name for name, _ in _rows(connection, "datastores")]
    own = _FIRST_OWN_DATASTORE
    for name in known:
        if name == "default":
            yield "datastore", name, {"datastore_id": _DATASTORES[name]}
        else:
            yield "datastore", name, {"datastore_id": own}
            own += 1
    for name, kind in (("system", "system"), ("files", "file")):
        # A database that has datastores is past its first start, which would make these.
        if known and name not in known:
            fields = {"name": name, "datastore_id": _DATASTORES[name], "type": kind, "kept_in": "default"}
            connection.execute(
                sa.text("INSERT INTO datastores (name, body) VALUES (:name, :body)"),
                {"name": name, "body": json.dumps(fields)},
            )
            yield "datastore", name, fields


def _shared(connection: sa.Connection, table: str) -> Iterator[Change]:
    for key, _ in _rows(connection, table):
        yield _KINDS[table][0], key, {"group": _ADMINS, "mode": _FOR_ALL}


def _networks(connection: sa.Connection) -> Iterator[Change]:
    """Ranges get their places for numbers, by which leases name them already."""
    for key, body in _rows(connection, "networks"):
        ranges = [{**each, "ar_id": number} for number, each in enumerate(body.get("ranges", ()))]
        yield (
            "network",
            key,
            {"group": _ADMINS, "mode": _FOR_ALL, "ranges": ranges, "last_ar_id": len(ranges) - 1},
        )


def _vms(connection: sa.Connection, admins: set[str]) -> Iterator[Change]:
    """VMs that are DONE stay as they were: there may be very many, and nobody can do anything with them."""
    for key, body in _rows(connection, "vms", " WHERE state <> 'DONE'"):
        yield "vm", key, {"group": _ADMINS if body["owner"] in admins else "users"}


def _tell(connection: sa.Connection, changes: list[Change]) -> None:
    """Write the changes to the tables, and to the log as one event."""
    tables = {kind: (table, key) for table, (kind, key) in _KINDS.items()}
    for kind, key, fields in changes:
        table, column = tables[kind]
        select = sa.text(f"SELECT body FROM {table} WHERE {column} = :key")  # noqa: S608 - names of our own
        body = json.loads(connection.execute(select, {"key": key}).scalar_one())
        body = {name: value for name, value in (body | fields).items() if name not in _GONE}
        update = sa.text(f"UPDATE {table} SET body = :body WHERE {column} = :key")  # noqa: S608 - the same
        connection.execute(update, {"key": key, "body": json.dumps(body)})
    last = connection.execute(sa.text("SELECT MAX(seq) FROM events")).scalar() or 0
    columns = ("seq", "at_s", "what", "subject", "owner", "actor", "request_id", "operation_id", "detail", "changes")
    values = (last + 1, time.time(), "controller.upgraded", "controller", "", "controller", "", "")
    row = (*values, json.dumps({"schema": revision}), json.dumps(changes))
    insert = f"INSERT INTO events ({', '.join(columns)}) VALUES ({', '.join(f':{each}' for each in columns)})"  # noqa: S608 - the same
    connection.execute(sa.text(insert), dict(zip(columns, row, strict=True)))
