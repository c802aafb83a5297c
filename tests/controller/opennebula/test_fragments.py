import msgspec
import pytest

from innkeeper_controller.cluster import Cluster
from innkeeper_controller.opennebula.fragments import Documents, Names
from innkeeper_controller.records import StoredTemplate, User
from innkeeper_controller.settings import Settings
from innkeeper_controller.turn import Turn

_replace = msgspec.structs.replace


class Drawn:
    """Documents of templates, and what was drawn of them."""

    def __init__(self, count: int) -> None:
        self.cluster = Cluster()
        self.turn = Turn(self.cluster, Settings(cluster_id="2d5a1c1e-0000-4000-8000-000000000000"), 1.0, "test")
        self.turn.put(User(name="ann", user_id=2))
        for number in range(count):
            self.turn.put(StoredTemplate(template_id=number, name=f"t{number}", owner="ann"))
        self.drawn: list[int] = []
        sources = (self.cluster.templates, self.cluster.observed)
        self.documents = Documents(self.cluster, "template", Names(self.cluster), self.draw, sources, newest_first=True)

    def draw(self, _cluster: Cluster, record: StoredTemplate) -> str:
        self.drawn.append(record.template_id)
        return f"<{record.name}>"

    def news(self) -> list[int]:
        drawn, self.drawn = sorted(self.drawn), []
        return drawn

    def whole(self) -> bytes:
        return b"".join(self.documents.everything())


def test_nothing_is_drawn_again_while_nothing_changes() -> None:
    one = Drawn(600)
    whole = one.whole()

    assert whole == b"".join(b"&lt;t%d>" % number for number in reversed(range(600)))
    assert one.news() == list(range(600))
    assert one.whole() == whole
    assert one.documents.one(5) == b"&lt;t5>"
    assert one.documents.many([7, 3]) == b"&lt;t7>&lt;t3>"
    assert one.news() == []


def test_what_changes_comes_and_goes_is_drawn_alone() -> None:
    one = Drawn(600)
    one.whole()
    one.news()
    one.turn.put(_replace(one.cluster.templates[5], name="other"))
    one.turn.drop(one.cluster.templates[300])
    one.turn.put(StoredTemplate(template_id=600, name="new", owner="ann"))

    expected = ["new", *(f"t{number}" if number != 5 else "other" for number in reversed(range(600)) if number != 300)]
    assert one.whole() == b"".join(b"&lt;%b>" % name.encode() for name in expected)
    assert one.news() == [5, 600]
    assert one.documents.keys() == [600, *(number for number in reversed(range(600)) if number != 300)]


def test_what_is_taken_back_is_shown_as_it_was() -> None:
    one = Drawn(3)
    before = one.whole()
    turn = Turn(one.cluster, one.turn.settings, 2.0, "test")
    turn.put(_replace(one.cluster.templates[1], name="other"))
    turn.drop(one.cluster.templates[2])
    changed = one.whole()
    turn.take_back()

    assert changed == b"&lt;other>&lt;t0>"
    assert one.whole() == before


def test_another_source_that_changes_draws_its_own_document() -> None:
    one = Drawn(4)
    one.whole()
    one.news()
    one.cluster.observed[2] = object()

    one.whole()
    assert one.news() == [2]
    one.documents.one(2)
    assert one.news() == []


@pytest.mark.parametrize(("change", "again"), [("another user", []), ("a user has gone", [0, 1])])
def test_a_name_that_is_no_more_draws_all_and_a_new_one_none(change: str, again: list[int]) -> None:
    one = Drawn(2)
    one.whole()
    one.news()
    if change == "another user":
        one.turn.put(User(name="bob", user_id=3))
    else:
        one.turn.drop(one.cluster.users["ann"])

    one.whole()
    assert one.news() == again


def test_what_is_gone_is_not_kept_for_ever() -> None:
    one = Drawn(0)
    for number in range(3_000):
        record = StoredTemplate(template_id=number, name="t", owner="ann")
        one.turn.put(record)
        one.documents.one(number)
        one.turn.drop(record)

    assert len(one.documents._kept) <= 1_001


def test_a_document_that_could_not_be_drawn_leaves_nothing_stale() -> None:
    one = Drawn(600)
    one.whole()
    draw, one.documents._draw = one.documents._draw, lambda _cluster, _record: 1 / 0
    one.turn.put(_replace(one.cluster.templates[5], name="other"))
    one.turn.put(_replace(one.cluster.templates[500], name="another"))
    with pytest.raises(ZeroDivisionError):
        one.whole()
    one.documents._draw = draw

    assert one.whole().count(b"other>") == 2
