"""A database that the first version wrote, as the present one finds it after its upgrade.

``tests/data/store-v0001.sql`` is the dump of one: three users, two datastores, an image, a network with two ranges and
an address held back, a VM of ann's, one of the administrator's, and one that is DONE.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine

from innkeeper_controller.api.identity import user_of
from innkeeper_controller.cluster import Cluster
from innkeeper_controller.reactor import Reactor
from innkeeper_controller.settings import Settings
from innkeeper_controller.store.archive import Archive
from innkeeper_controller.store.database import open_engine
from innkeeper_controller.store.replay import memory_differences, replay, table_differences
from innkeeper_controller.store.upgrade import bring_up
from innkeeper_controller.verify import findings

DUMP = Path(__file__).parents[2] / "data" / "store-v0001.sql"


@pytest.fixture
def upgraded(tmp_path: Path) -> Iterator[Engine]:
    path = tmp_path / "controller.db"
    with closing(sqlite3.connect(path)) as old:
        old.executescript(DUMP.read_text())
    engine = open_engine(f"sqlite:///{path}")
    assert bring_up(engine) is not None
    yield engine
    engine.dispose()


def loaded(engine: Engine) -> Cluster:
    cluster = Cluster()
    cluster.load_records(*Archive(engine).load())
    return cluster


def test_the_log_of_an_upgraded_database_gives_what_its_tables_have(upgraded: Engine):
    with upgraded.connect() as connection:
        told = replay(connection)
        differences = table_differences(connection, told)

    assert differences == []
    assert memory_differences(told, loaded(upgraded)) == []


def test_users_keep_their_tokens_and_what_they_may(upgraded: Engine):
    cluster = loaded(upgraded)

    assert {user.name: (user.user_id, user.groups) for user in cluster.users.values()} == {
        "admin": (0, ("oneadmin",)),
        "ann": (1, ("users",)),
        "bob": (2, ("users",)),
    }
    assert user_of(b"Bearer ann-token", cluster, 0.0).name == "ann"


def test_what_everybody_could_use_stays_usable_by_everybody(upgraded: Engine):
    cluster = loaded(upgraded)
    things = [*cluster.images.values(), *cluster.networks.values(), *cluster.vms.values()]

    assert [(thing.name, thing.owner, thing.group, oct(thing.mode)) for thing in things] == [
        ("tiny", "ann", "oneadmin", "0o644"),
        ("lan", "ann", "oneadmin", "0o644"),
        ("web", "ann", "users", "0o600"),
        ("bare", "admin", "oneadmin", "0o600"),
    ]


def test_datastores_and_ranges_have_numbers(upgraded: Engine):
    cluster = loaded(upgraded)

    numbers = {each.name: (each.datastore_id, each.type) for each in cluster.datastores.values()}
    assert numbers == {
        "system": (0, "system"),
        "default": (1, "image"),
        "files": (2, "file"),
        "fast": (100, "image"),
    }
    assert [each.ar_id for each in cluster.networks[0].ranges] == [0, 1]
    assert cluster.networks[0].last_ar_id == 1


def test_a_controller_starts_on_it_and_finds_nothing_wrong(upgraded: Engine):
    cluster = loaded(upgraded)
    turn = Reactor(cluster, Settings(cluster_id=""), bytes).started(2_000.0)

    assert findings(cluster) == ()
    assert {change.kind for change in turn.changes} >= {"group", "acl", "cluster"}
    assert list(cluster.groups) == ["oneadmin", "users"]


def test_the_upgrade_is_told_once(upgraded: Engine):
    events = [event for event, _ in Archive(upgraded).events() if event.what == "controller.upgraded"]

    assert [(event.subject, event.actor, event.detail) for event in events] == [
        ("controller", "controller", {"schema": "0002"})
    ]
