"""Opening the database."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine

from innkeeper_controller.store.database import DatabaseInUseError, ProcessLock, StoreError, open_engine


def test_every_connection_is_durable_at_commit(engine: Engine):
    with engine.connect() as connection:
        answers = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")]

    assert answers == ["wal", 2]


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "nonsense", "oracle+nothing://x/y"])
def test_a_database_that_cannot_be_durable_is_refused(url: str):
    with pytest.raises(StoreError):
        open_engine(url)


def test_a_second_process_on_the_same_database_is_refused_with_the_first_ones_number(engine: Engine):
    lock = ProcessLock(engine)
    script = (
        "import sys; from innkeeper_controller.store.database import *\n"
        "try: ProcessLock(open_engine(sys.argv[1]))\n"
        "except DatabaseInUseError as error: print(error)"
    )
    second = subprocess.run([sys.executable, "-c", script, str(engine.url)], capture_output=True, text=True, check=True)
    lock.release()

    assert second.stdout.strip() == (
        f"another controller (process {os.getpid()}) works on controller.db; stop it first"
    )


def test_the_lock_can_be_taken_again_once_released(engine: Engine):
    ProcessLock(engine).release()
    again = ProcessLock(engine)
    with pytest.raises(DatabaseInUseError):
        ProcessLock(engine)
    again.release()


def test_a_lock_file_that_cannot_be_made_is_an_error_of_the_store(tmp_path: Path):
    engine = open_engine(f"sqlite:///{tmp_path}/missing/controller.db")
    with pytest.raises(StoreError, match="cannot be opened: No such file"):
        ProcessLock(engine)


def test_another_tool_may_read_while_the_controller_writes(engine: Engine, tmp_path: Path):
    with engine.execution_options(writes=True).begin() as connection:
        connection.exec_driver_sql("INSERT INTO meta VALUES ('a', 'b')")
        with closing(sqlite3.connect(tmp_path / "controller.db")) as other:
            seen = other.execute("SELECT count(*) FROM meta").fetchone()

    assert seen == (0,)
