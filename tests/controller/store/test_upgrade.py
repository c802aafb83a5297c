"""Bringing a database to the schema of this version."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine

from innkeeper_controller.store.database import StoreError, open_engine
from innkeeper_controller.store.schema import metadata
from innkeeper_controller.store.upgrade import MIGRATIONS, NewerSchemaError, SchemaState, bring_up, check, check_pages

NEXT = '''"""A later schema."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.execute("CREATE TABLE later (a INTEGER)")
    op.execute("{last}")
'''


def later(directory: Path, last: str = "INSERT INTO later VALUES (1)") -> Path:
    """Return migrations that know one revision more."""
    copy = directory / "migrations"
    shutil.copytree(MIGRATIONS, copy)
    (copy / "versions" / "v0003_later.py").write_text(NEXT.format(last=last))
    return copy


def tables(engine: Engine) -> set[str]:
    with engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'")
        return {row[0] for row in rows}


def test_the_migrations_end_in_the_schema_that_the_code_uses(engine: Engine):
    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), metadata)

    assert differences == []


def test_an_up_to_date_database_is_left_alone(engine: Engine, tmp_path: Path):
    content = (tmp_path / "controller.db").read_bytes()
    backup = bring_up(engine)

    assert backup is None
    assert list(tmp_path.glob("*backup*")) == []
    assert (tmp_path / "controller.db").read_bytes() == content


def test_an_older_database_is_copied_before_it_is_upgraded(engine: Engine, tmp_path: Path):
    with engine.execution_options(writes=True).begin() as connection:
        connection.exec_driver_sql("INSERT INTO meta VALUES ('cluster_id', 'c')")
    migrations = later(tmp_path)
    backup = bring_up(engine, migrations=migrations)

    assert check(engine, migrations=migrations) == SchemaState("0003", "0003")
    assert "later" in tables(engine)
    assert backup is not None
    assert backup.stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(backup)) as copy:
        rows = copy.execute("SELECT version_num, value FROM alembic_version, meta").fetchall()
    assert rows == [("0002", "c")]


def test_an_upgrade_that_fails_half_way_leaves_the_old_schema(engine: Engine, tmp_path: Path):
    migrations = later(tmp_path, last="INSERT INTO nowhere VALUES (1)")
    with pytest.raises(StoreError, match="was not upgraded and is as it was: no such table: nowhere"):
        bring_up(engine, migrations=migrations)

    assert check(engine, migrations=migrations) == SchemaState("0002", "0003")
    assert "later" not in tables(engine)


def test_a_database_of_a_newer_version_is_refused(engine: Engine, tmp_path: Path):
    bring_up(engine, migrations=later(tmp_path))
    with pytest.raises(NewerSchemaError, match="has schema 0003, this version knows none after 0002"):
        bring_up(engine)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path):
    (tmp_path / "controller.db").write_bytes(b"not a database" * 1000)
    engine = open_engine(f"sqlite:///{tmp_path}/controller.db")
    with pytest.raises(StoreError, match="cannot be read: file is not a database"):
        bring_up(engine)


def test_a_damaged_database_is_told_from_a_sound_one(engine: Engine, tmp_path: Path):
    check_pages(engine)
    engine.dispose()
    path = tmp_path / "controller.db"
    content = bytearray(path.read_bytes())
    content[3 * 4096 : 4 * 4096] = b"\xff" * 4096
    path.write_bytes(content)
    with pytest.raises(StoreError, match="is damaged"):
        check_pages(engine)
