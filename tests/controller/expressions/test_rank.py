"""Rank expressions: what they come to, and what is said of those that mean nothing."""

import math
import os

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from innkeeper_controller.expressions import ExpressionError, compile_rank
from innkeeper_controller.expressions.rank import parse_rank
from innkeeper_controller.expressions.syntax import names_in

SEED = int(os.environ.get("INNKEEPER_SEED", "1"))
HOST = {
    "FREE_CPU": 350.0,
    "RUNNING_VMS": 3,
    "VERSION": "12.5",
    "NAME": "host-1",
    "NONE": 0,
    "MANY": (1, 2),
    "BROKEN": float("nan"),
    "ENDLESS": float("inf"),
    "HUGE": 10**400,
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 0.0),
        ("7", 7.0),
        (".5", 0.5),
        ("1e2", 100.0),
        ("FREE_CPU", 350.0),
        ("free_cpu", 350.0),
        ("FREE_CPU * 100 - RUNNING_VMS", 34997.0),
        ("FREE_CPU-RUNNING_VMS", 347.0),
        ("2 + 3 * 4", 14.0),
        ("(2 + 3) * 4", 20.0),
        ("10 - 3 - 2", 5.0),
        ("8 / 2 / 2", 2.0),
        ("-RUNNING_VMS", -3.0),
        ("- -3", 3.0),
        ("+3", 3.0),
        ("2 * -3", -6.0),
        ("-(1 + 2)", -3.0),
        ('"HOST/HOST_SHARE/FREE_CPU" + 1', 351.0),
        ("VERSION * 2", 25.0),
        ("NAME", 0.0),
        ("MISSING + 1", 1.0),
        ("MANY", 0.0),
        ("1 / NONE", 0.0),
        ("5 + 1 / MISSING", 5.0),
        ("0 / 0", 0.0),
        ("BROKEN + 1", 1.0),
        ("ENDLESS", 0.0),
        ("HUGE", 0.0),
        ("1e300 * 1e300", 0.0),
        ("1e300 * 1e300 - 1e300 * 1e300", 0.0),
        ("+".join(["1"] * 2000), 2000.0),
    ],
)
def test_a_rank_comes_to_a_finite_number(text, expected):
    assert compile_rank(text).of(HOST) == expected


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("FREE_CPU > 3", 9, "A rank is a number, so it has no >; conditions belong into SCHED_REQUIREMENTS."),
        ("A & B", 2, "A rank is a number, so it has no &; conditions belong into SCHED_REQUIREMENTS."),
        ("2 +", 3, "The rank ends where an attribute or a number should come."),
        ("* 2", 0, "Here an attribute or a number should come, not '*'."),
        ("2 3", 2, "Here + - * / or the end should come, not '3'."),
        ("(2", 0, "This parenthesis is never closed."),
        ("(2 3)", 3, "Here + - * / or ) should come, not '3'."),
        ("2)", 1, "Here + - * / or the end should come, not ')'."),
        ("1e999", 0, "1e999 is too large a number."),
        ('"A/B/C"', 0, "'A/B/C' is neither a host attribute nor a path to one, like HOST/VMS/ID."),
        ("2 \u00d7 A", 2, "'\u00d7' is written * here."),
        ("A % 2", 2, "'%' means nothing here; a text with it needs quotes."),
        ("(" * 60 + "1" + ")" * 60, 51, "An expression goes at most 50 levels deep."),
        ("-" * 60 + "1", 51, "An expression goes at most 50 levels deep."),
        ("1" * 5000, 4096, "An expression has at most 4096 characters, not 5000."),
    ],
)
def test_a_broken_rank_is_refused_with_its_place(text, position, message):
    with pytest.raises(ExpressionError) as caught:
        parse_rank(text)

    assert (caught.value.position, caught.value.message) == (position, message)


def test_the_attributes_of_a_rank_are_known_with_their_places():
    assert names_in(parse_rank("-(FREE_CPU + 2) * RUNNING_VMS")) == (("FREE_CPU", 2), ("RUNNING_VMS", 18))


@seed(SEED)
@settings(max_examples=100, deadline=None)
@given(
    st.one_of(st.text(st.sampled_from("AB1 .+-*/()e\"'\n"), max_size=40), st.text(max_size=40)),
    st.dictionaries(st.sampled_from("AB"), st.one_of(st.floats(), st.integers(), st.text(max_size=5))),
)
def test_any_text_is_either_refused_or_ranks_any_host(text, host):
    try:
        rank = compile_rank(text)
    except ExpressionError as error:
        position = error.position
    else:
        assert math.isfinite(rank.of(host))
        return

    assert 0 <= position <= len(text)
