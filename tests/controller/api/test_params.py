"""Parameters as HTTP brings them."""

import pytest

from innkeeper_controller.api.params import Parameters
from innkeeper_controller.requests.table import Request, Who
from innkeeper_controller.turn import RefusalError
from innkeeper_plugins.vocabulary import Value


class Inner(Value):
    size: int = 0


class Wanted(Value):
    number: int = 0
    flag: bool = False
    names: tuple[str, ...] = ()
    inner: Inner | None = None
    many: tuple[Inner, ...] = ()
    by_name: dict[str, Inner] = {}
    free: dict[str, str] = {}


def parameters(method: str = "POST") -> Parameters:
    return Parameters(
        Request(
            name="a.b",
            method=method,
            path="/x/{number}",
            params=Wanted,
            answer=Wanted,
            who=Who.USER,
            summary="",
            handler=lambda _turn, _params: None,
        )
    )


def test_texts_of_path_and_query_become_what_the_parameter_is():
    read = parameters("GET").read({"number": "7"}, b"flag=true&names=a&names=b%20c", b"")

    assert read == Wanted(number=7, flag=True, names=("a", "b c"))


def test_a_body_is_read_strictly():
    with pytest.raises(RefusalError, match="Parameter flag: Expected `bool`, got `str`"):
        parameters().read({}, b"", b'{"flag": "true"}')


def test_everything_of_the_right_type_is_taken():
    body = b'{"inner": {"size": 1}, "many": [{"size": 2}], "by_name": {"x": {"size": 3}}, "free": {"any": "thing"}}'
    read = parameters().read({"number": "1"}, b"flag=1", body)

    assert read == Wanted(
        number=1,
        flag=True,
        inner=Inner(size=1),
        many=(Inner(size=2),),
        by_name={"x": Inner(size=3)},
        free={"any": "thing"},
    )


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (b'{"a": 1, "b": 2}', ["a", "b"]),
        (b'{"inner": {"sise": 1}}', ["inner.sise"]),
        (b'{"many": [{}, {"x": 1}], "by_name": {"k": {"y": 1}}}', ["many[1].x", "by_name[k].y"]),
    ],
)
def test_unknown_names_are_found_at_any_depth(body: bytes, fields: list[str]):
    with pytest.raises(RefusalError) as refusal:
        parameters().read({}, b"", body)

    assert [mistake.field for mistake in refusal.value.mistakes] == fields


@pytest.mark.parametrize("body", [b'{"inner": 3}', b'{"many": {"x": 1}}', b'{"by_name": [1]}', b'{"many": [3]}'])
def test_a_value_of_another_form_is_a_wrong_type(body: bytes):
    with pytest.raises(RefusalError, match="Expected"):
        parameters().read({}, b"", body)


def test_the_place_of_a_wrong_value_is_named():
    with pytest.raises(RefusalError) as refusal:
        parameters().read({}, b"", b'{"many": [{"size": 1}, {"size": "x"}]}')

    # Which of them, only newer versions of msgspec say.
    assert [mistake.field for mistake in refusal.value.mistakes] in (["many[...].size"], ["many[1].size"])


@pytest.mark.parametrize("query", [b"number", b"number=%ff", b"&".join([b"names=a"] * 65), b"\xff=1"])
def test_a_malformed_query_is_refused(query: bytes):
    with pytest.raises(RefusalError) as refusal:
        parameters("GET").read({}, query, b"")

    assert refusal.value.code == "bad_request"
