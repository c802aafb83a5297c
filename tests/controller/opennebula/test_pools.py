import pytest

from innkeeper_controller.cluster import Cluster
from innkeeper_controller.furniture import furnish
from innkeeper_controller.opennebula.pools import ALL, GROUP, MINE, MINE_AND_GROUPS, Range, check_flag, chosen
from innkeeper_controller.records import StoredTemplate, User
from innkeeper_controller.settings import Settings
from innkeeper_controller.turn import RefusalError, Turn

NUMBERS = [9, 8, 7, 5, 3, 2]


@pytest.mark.parametrize(
    ("start", "end", "left"),
    [
        (-1, -1, NUMBERS),
        (3, 8, [8, 7, 5, 3]),
        (5, -1, [9, 8, 7, 5]),
        (5, 5, [5]),
        (4, 4, []),
        (0, -2, [9, 8]),
        (2, -2, [7, 5]),
        (4, -100, [3, 2]),
        (6, -2, []),
        (-1, -3, [9, 8, 7]),
    ],
)
def test_ranges_are_ids_and_pages_are_places(start: int, end: int, left: list[int]) -> None:
    assert list(Range(start, end).of(NUMBERS)) == left


def turn_of(name: str) -> Turn:
    cluster = Cluster()
    turn = Turn(cluster, Settings(cluster_id="2d5a1c1e-0000-4000-8000-000000000000"), 1.0, "test")
    furnish(turn)
    users = {
        "root": User(name="root", user_id=0, groups=("oneadmin",)),
        "ann": User(name="ann", user_id=2, groups=("users", "web")),
        "bob": User(name="bob", user_id=3, groups=("web",)),
    }
    for each in users.values():
        turn.put(each)
    for number, (owner, group, mode) in enumerate(
        [
            ("ann", "users", 0o600),
            ("ann", "web", 0o000),
            ("bob", "web", 0o640),
            ("bob", "web", 0o600),
            ("bob", "users", 0o604),
        ]
    ):
        turn.put(StoredTemplate(template_id=number, name=f"t{number}", owner=owner, group=group, mode=mode))
    turn.user = users[name]
    return turn


@pytest.mark.parametrize(
    ("name", "flag", "shown"),
    [
        ("root", ALL, [0, 1, 2, 3, 4]),
        ("root", MINE, []),
        ("root", 3, [2, 3, 4]),
        ("ann", ALL, [0, 2, 4]),
        ("ann", MINE, [0, 1]),
        ("ann", MINE_AND_GROUPS, [0, 2, 4]),
        ("ann", GROUP, [0, 4]),
        ("ann", 3, [2, 4]),
        ("ann", 77, []),
        ("bob", ALL, [2, 3, 4]),
        ("bob", 2, []),
    ],
)
def test_a_list_shows_what_its_flag_and_the_callers_rights_leave(name: str, flag: int, shown: list[int]) -> None:
    turn = turn_of(name)

    assert [each.template_id for each in chosen(turn, turn.cluster.templates.values(), flag)] == shown


def test_a_flag_below_minus_four_is_refused() -> None:
    with pytest.raises(RefusalError, match="Incorrect filter_flag"):
        check_flag(-5)
