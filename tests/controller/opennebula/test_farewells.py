"""An image is seen to go by who deleted it, for a moment, and by nobody else."""

from innkeeper_controller.opennebula.farewells import KEPT_S, MAX_KEPT, Farewells


def test_only_who_deleted_it_sees_an_image_go_and_not_for_long():
    now_s = [100.0]
    farewells = Farewells(lambda: now_s[0])
    farewells.say("ann", 3, "<IMAGE/>")
    seen = farewells.find("ann", 3), farewells.find("bob", 3), farewells.find("ann", 4)
    now_s[0] += KEPT_S

    assert seen == ("<IMAGE/>", None, None)
    assert farewells.find("ann", 3) is None


def test_no_more_than_so_many_are_kept():
    farewells = Farewells(lambda: 0.0)
    for image_id in range(MAX_KEPT + 1):
        farewells.say("ann", image_id, "<IMAGE/>")

    assert (farewells.find("ann", 0), farewells.find("ann", MAX_KEPT)) == (None, "<IMAGE/>")
