import pytest

from innkeeper_controller.opennebula import arguments
from innkeeper_controller.opennebula.arguments import either, integer, integers, text, truth
from innkeeper_controller.turn import RefusalError

ROW = (integer("vm id"), text("name"), truth("hold", default=False), integer("start", -1), integers("groups"))


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ((5, "a"), (5, "a", False, -1, ())),
        (("5", 7, 1, "3", [1, "2"]), (5, "7", True, 3, (1, 2))),
        ((" 5 ", True, "YES", 2.0, 4), (5, "YES", True, 2, (4,))),
        ((True, "", "false"), (1, "", False, -1, ())),
    ],
)
def test_numbers_and_texts_stand_for_each_other_and_the_tail_may_be_left_out(given, read) -> None:
    assert tuple(arguments.read(ROW, given).values()) == read


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ((), "Argument 1, vm id, is missing"),
        ((5,), "Argument 2, name, is missing"),
        (("x", "a"), "Argument 1, vm id, has to be of type int"),
        ((2**70, "a"), "Argument 1, vm id, has to be of type int"),
        ((float("inf"), "a"), "Argument 1, vm id, has to be of type int"),
        ((5, {}), "Argument 2, name, has to be of type string"),
        ((5, "a", "perhaps"), "Argument 3, hold, has to be of type bool"),
        ((5, "a", False, -1, ["x"]), "Argument 5, groups, has to be of type array"),
        ((5, "a", False, -1, [], 1), "6 arguments are too many"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(given, told: str) -> None:
    with pytest.raises(RefusalError, match=told) as caught:
        arguments.read(ROW, given)

    assert caught.value.code == "bad_request"


def test_an_argument_of_two_ages_stays_what_it_is() -> None:
    row = (either("fourth", -1),)

    assert [arguments.read(row, given)["fourth"] for given in ((), (3,), ("tm_ssh",))] == [-1, 3, "tm_ssh"]
