"""Requirement expressions: what they mean, and what is said of those that mean nothing."""

import os

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from innkeeper_controller.expressions import ExpressionError, compile_requirement, obstacles
from innkeeper_controller.expressions.explain import MAX_OBSTACLES
from innkeeper_controller.expressions.names import STANDARD, unknown_names
from innkeeper_controller.expressions.requirements import mixes_signs, parse_requirements
from innkeeper_controller.expressions.syntax import Compare, Every, Not, Operator, Some, describe, names_in

SEED = int(os.environ.get("INNKEEPER_SEED", "1"))
HOST = {
    "NAME": "host-1",
    "ARCH": "x86_64",
    "FREE_CPU": 350.0,
    "RUNNING_VMS": 3,
    "VERSION": "12.5",
    "CPU_FLAGS": "sse4 avx2,aes",
    "CURRENT_VMS": (1, 5, 7),
    "HYPERVISOR": ("libvirt", "kvm"),
    "EMPTY": "",
    "NONE": (),
    "BROKEN": float("nan"),
    "HUGE": 10**400,
}


def holds(text):
    return compile_requirement(text).holds(HOST)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True),
        ("  ", True),
        ("FREE_CPU > 100", True),
        ("FREE_CPU > 350", False),
        ("FREE_CPU >= 350", True),
        ("FREE_CPU < 350", False),
        ("FREE_CPU <= 350", True),
        ("FREE_CPU = 350", True),
        ("FREE_CPU = 350.0", True),
        ("FREE_CPU != 350", False),
        ("FREE_CPU > -5", True),
        ('FREE_CPU > "100"', True),
        ('FREE_CPU = "350"', True),
        ('VERSION = "12.5"', True),
        ("VERSION = 12.50", True),
        ('VERSION = "12.50"', True),
        ("VERSION > 12", True),
        ("ARCH = x86_64", True),
        ("ARCH = X86_64", False),
        ("arch = x86_64", True),
        ("ARCH = 'x86_64'", True),
        ("ARCH != aarch64", True),
        ("ARCH = 86", False),
        ("ARCH != 86", True),
        ("ARCH > 5", False),
        ('NAME = "host-*"', True),
        ('NAME = "*"', True),
        ('NAME = "*-*1"', True),
        ('NAME = "*1*"', True),
        ('NAME = "host*host-1"', False),
        ('NAME = "h*x*1"', False),
        ('NAME = "h?st-1"', True),
        ('NAME = "h?t-1"', False),
        ('NAME = "[g-h]ost-[!0]"', True),
        ('NAME = "*[0-9]"', True),
        ('NAME = "[i-z]*"', False),
        ('NAME != "host-*"', False),
        ('RUNNING_VMS = "3*"', True),
        ('NAME = "host[-1"', False),
        ('EMPTY = ""', True),
        ('EMPTY = "*"', True),
        ("CURRENT_VMS = 5", True),
        ('CURRENT_VMS = "5"', True),
        ("CURRENT_VMS = 6", False),
        ("CURRENT_VMS != 5", False),
        ("CURRENT_VMS != 6", True),
        ("!(CURRENT_VMS = 6)", True),
        ("CURRENT_VMS > 0", False),
        ('"HOST/VMS/ID" @> 5', True),
        ('"VMS/VM/ID" @> 6', False),
        ('"/HOST/HOST_SHARE/FREE_CPU" > 100', True),
        ('"HOST/TEMPLATE/ARCH" = x86_64', True),
        ("HYPERVISOR = kvm", True),
        ("HYPERVISOR = libvirt", True),
        ("HYPERVISOR = xen", False),
        ("CPU_FLAGS @> avx2", True),
        ("CPU_FLAGS @> aes", True),
        ("CPU_FLAGS @> avx", False),
        ('CPU_FLAGS @> "av*"', True),
        ("FREE_CPU @> 350", True),
        ("NONE = 1", False),
        ("NONE != 1", True),
        ("RACK = r1", False),
        ("RACK != r1", False),
        ("RACK > 0", False),
        ("!(RACK = r1)", True),
        ("BROKEN = 1", False),
        ("BROKEN > 0", False),
        ("HUGE > 0", False),
        ("FREE_CPU > 100 & ARCH = x86_64", True),
        ("FREE_CPU > 400 | ARCH = x86_64", True),
        ("FREE_CPU > 400 & ARCH = x86_64", False),
        ("!(FREE_CPU > 400)", True),
        ("!!(FREE_CPU > 100)", True),
        ("!FREE_CPU > 400", True),
        ("!ARCH = b & ARCH = x86_64", True),
        ("FREE_CPU ! = 349", True),
        ("FREE_CPU > = 350", True),
        ("CURRENT_VMS @ > 5", True),
        ('"HOST/MONITORING/CAPACITY/FREE_CPU" > 100', True),
        ("VM_MAD = kvm", True),
        ("ARCH = x86_64 | ARCH = b & RACK = c", False),
        ("ARCH = x86_64 | (ARCH = b & RACK = c)", True),
    ],
)
def test_a_requirement_holds_on_a_host_or_not(text, expected):
    assert holds(text) is expected
    assert (obstacles(parse_requirements(text), HOST) == ()) is expected


@pytest.mark.parametrize(
    ("text", "position", "message", "suggestion"),
    [
        ("A == 3", 3, "One = is enough.", "="),
        ("A = 3 && B = 4", 7, "One & is enough.", "&"),
        ("A <> 3", 2, "<> is written != here.", "!="),
        ("A => 3", 2, "=> is written >= here.", ">="),
        ("A =! 3", 2, "=! is written != here.", "!="),
        ("A \u2260 3", 2, "'\u2260' is written != here.", "!="),
        ("A = \u201cx\u201d", 4, "'\u201c' is written \" here.", '"'),
        ("A = 3 and B = 4", 6, "and is written & here.", "&"),
        ("NOT A = 3", 0, "NOT is written ! here.", "!"),
        ("A", 1, "The expression ends where a comparison (= != > < >= <= @>) after A should come.", ""),
        ("A =", 3, "The expression ends where a value should come.", ""),
        ("A = 3 &", 7, "The expression ends where an attribute should come.", ""),
        ("A = = 3", 4, "One = is enough.", "="),
        ("A = -b", 5, "Here a value should come, not 'b'.", ""),
        ("A 3", 2, "Here a comparison (= != > < >= <= @>) after A should come, not '3'.", ""),
        ("4 < A", 0, "The attribute comes first, then the value: FREE_CPU > 4.", ""),
        ("(A = 3", 0, "This parenthesis is never closed.", ""),
        ("A = 3)", 5, "Here & or | or the end should come, not ')'.", ""),
        ("(A = 3 B = 4)", 7, "Here & or | or ) should come, not 'B'.", ""),
        ("()", 1, "Here an attribute should come, not ')'.", ""),
        ('A = "x', 4, "This quote is never closed.", ""),
        ("A > b", 4, "> compares numbers, and 'b' is none.", ""),
        ('A <= "1x"', 5, "<= compares numbers, and '1x' is none.", ""),
        ("NAME = host-1 & B = 2", 7, "A value with '-' in it needs quotes.", '"host-1"'),
        ("NAME = web*", 7, "A value with '*' in it needs quotes.", '"web*"'),
        ("FREE_MEMORY > 4G", 14, "4G is no number; FREE_MEMORY is in KB, 1 GB is 1048576.", ""),
        ("FREE_CPU > 2cores", 11, "2cores is no number; FREE_CPU is 100 for each core.", ""),
        ("A > 1e999", 4, "1e999 is too large a number.", ""),
        ("A @ 3", 2, "'@' means nothing here; a text with it needs quotes.", ""),
        ("A = ü", 4, "'ü' means nothing here; a text with it needs quotes.", ""),
        ('"A/B/C" = 3', 0, "'A/B/C' is neither a host attribute nor a path to one, like HOST/VMS/ID.", ""),
        (
            '"HOST/MEMORY/FREE_MEMROY" > 3',
            0,
            "'HOST/MEMORY/FREE_MEMROY' is neither a host attribute nor a path to one, like HOST/VMS/ID.",
            "FREE_MEMORY",
        ),
        ("(" * 60 + "A = 1" + ")" * 60, 51, "An expression goes at most 50 levels deep.", ""),
        ("!" * 60 + "A = 1", 51, "An expression goes at most 50 levels deep.", ""),
        ("A=1" + "&A=1|A=1" * 30, 203, "An expression goes at most 50 levels deep.", ""),
        ("A" * 5000, 4096, "An expression has at most 4096 characters, not 5000.", ""),
    ],
)
def test_a_broken_requirement_is_refused_with_its_place_and_what_was_probably_meant(
    text, position, message, suggestion
):
    with pytest.raises(ExpressionError) as caught:
        parse_requirements(text)

    assert (caught.value.position, caught.value.message, caught.value.suggestion) == (position, message, suggestion)


def test_and_and_or_have_one_precedence_and_go_from_left_to_right():
    assert parse_requirements("A=1 | B=2 & C=3") == parse_requirements("(A=1 | B=2) & C=3").__class__(
        parts=(
            Some(
                parts=(
                    Compare(name="A", operator=Operator.EQUAL, value=1.0, position=0),
                    Compare(name="B", operator=Operator.EQUAL, value=2.0, position=6),
                )
            ),
            Compare(name="C", operator=Operator.EQUAL, value=3.0, position=12),
        )
    )


@pytest.mark.parametrize(
    ("text", "mixes"),
    [
        ("A=1 & B=2 & C=3", False),
        ("A=1 | B=2 & C=3", True),
        ("(A=1 | B=2) & C=3", False),
        ("(A=1 | B=2) & (C=3 & D=4)", False),
        ("(A=1 | B=2 & C=3)", True),
        ('A="&" | B="x|y"', False),
    ],
)
def test_mixing_signs_without_parentheses_is_noticed(text, mixes):
    assert mixes_signs(text) is mixes


def test_a_long_conjunction_is_not_a_deep_one():
    text = " & ".join(["FREE_CPU > 1"] * 250)

    assert holds(text)
    assert len(parse_requirements(text).parts) == 250


def test_the_same_text_is_compiled_once():
    assert compile_requirement("FREE_CPU > 7") is compile_requirement("FREE_CPU > 7")


def test_unknown_names_are_told_with_what_was_probably_meant():
    text = "FREE_CPUS > 1 & RACK = r1 & ARCH = x & FREE_CPUS < 9"
    found = unknown_names(text, parse_requirements(text), STANDARD)

    assert [(each.message, each.suggestion) for each in found] == [
        ("No host attribute is called FREE_CPUS.", "FREE_CPU"),
        ("No host attribute is called RACK.", ""),
    ]


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("FREE_CPU > 400 & ARCH = x86_64", ["FREE_CPU > 400 is required, but it is 350"]),
        (
            "FREE_CPU > 400 & RACK = r1",
            ["FREE_CPU > 400 is required, but it is 350", 'RACK = "r1" is required, but the host has no RACK'],
        ),
        (
            "FREE_CPU > 400 | RACK = r1",
            ['FREE_CPU > 400 | RACK = "r1" is required, but FREE_CPU is 350, RACK is missing'],
        ),
        ("!(CURRENT_VMS = 5)", ["!(CURRENT_VMS = 5) is required, but it is 1, 5, 7"]),
        (
            '!(ARCH = x86_64 | NAME = "h*")',
            ['!(ARCH = "x86_64") is required, but it is x86_64', '!(NAME = "h*") is required, but it is host-1'],
        ),
        (
            "!(ARCH = x86_64 & FREE_CPU > 1)",
            ['!(ARCH = "x86_64" & FREE_CPU > 1) is required, but ARCH is x86_64, FREE_CPU is 350'],
        ),
        ("NONE = 1", ["NONE = 1 is required, but it is none"]),
        ("EMPTY = x", ['EMPTY = "x" is required, but it is ""']),
    ],
)
def test_obstacles_name_each_clause_that_fails_with_what_there_is(text, messages):
    assert [each.message for each in obstacles(parse_requirements(text), HOST)] == messages


def test_obstacles_of_one_host_have_a_limit():
    text = " & ".join(f"A{number} = 1" for number in range(100))

    assert len(obstacles(parse_requirements(text), HOST)) == MAX_OBSTACLES


NAMES = st.sampled_from([*HOST, "RACK", "ZONE"])
TEXTS = st.sampled_from(["x86_64", "host-1", "host*", "*", "", "avx2", "12.5", "a'b", "h?st[!a-z]*", "[", "nan"])
NUMBERS = st.floats(-1000, 1000, allow_nan=False).map(lambda value: round(value, 3) + 0.0)
ORDERS = st.sampled_from([Operator.GREATER, Operator.LESS, Operator.GREATER_OR_EQUAL, Operator.LESS_OR_EQUAL])
EQUALS = st.sampled_from([Operator.EQUAL, Operator.NOT_EQUAL, Operator.CONTAINS])
COMPARES = st.one_of(
    st.builds(Compare, name=NAMES, operator=ORDERS, value=NUMBERS),
    st.builds(Compare, name=NAMES, operator=EQUALS, value=st.one_of(NUMBERS, TEXTS)),
)
TREES = st.recursive(
    COMPARES,
    lambda inner: st.one_of(
        st.builds(Every, parts=st.lists(inner, min_size=2, max_size=3).map(tuple)),
        st.builds(Some, parts=st.lists(inner, min_size=2, max_size=3).map(tuple)),
        st.builds(Not, part=inner),
    ),
    max_leaves=8,
)
VALUES = st.one_of(st.sampled_from(["x86_64", "host-1", "avx2 sse", "12.5", ""]), NUMBERS, st.tuples(NUMBERS, TEXTS))
HOSTS = st.dictionaries(NAMES, VALUES)


def slow_holds(tree, host):
    """Return what a tree means, written as plainly as can be; texts only where they are not numbers."""
    match tree:
        case Every(parts=parts):
            return all(slow_holds(part, host) for part in parts)
        case Some(parts=parts):
            return any(slow_holds(part, host) for part in parts)
        case Not(part=part):
            return not slow_holds(part, host)
    return compile_requirement(describe(tree)).holds(host)


@seed(SEED)
@settings(max_examples=100, deadline=None)
@given(TREES, HOSTS)
def test_a_tree_its_text_and_its_obstacles_say_the_same(tree, host):
    text = describe(tree)
    result = compile_requirement(text).holds(host)

    assert slow_holds(tree, host) is result
    assert (obstacles(tree, host) == ()) is result
    assert {name for name, _ in names_in(parse_requirements(text))} == {name for name, _ in names_in(tree)}


@seed(SEED)
@settings(max_examples=100, deadline=None)
@given(TREES, HOSTS)
def test_mending_every_obstacle_makes_the_host_fit(tree, host):
    """Where all obstacles are single comparisons, a host without them meets the requirement."""
    found = obstacles(tree, host)
    still = Every(parts=tuple(parse_requirements(each.clause) for each in found))

    assert all(not compile_requirement(each.clause).holds(host) for each in found)
    assert not found or not compile_requirement(describe(still)).holds(host)


#: Words that expressions are made of, so that some of what comes out means something.
PIECES = st.sampled_from(
    [*"=<>!&|()", "!=", "@>", "A", "NAME", "CURRENT_VMS", "5", "-1e9", '"h*[a-z]?"', "'x'", "B = 1"]
)


@seed(SEED)
@settings(max_examples=100, deadline=None)
@given(
    st.one_of(
        st.text(st.sampled_from("AB1 =<>!@&|()\"'-.*/?[]é\n"), max_size=40),
        st.lists(PIECES, max_size=20).map(" ".join),
        st.text(max_size=40),
    )
)
def test_any_text_is_either_understood_or_refused_at_a_place_inside_it(text):
    try:
        tree = parse_requirements(text)
    except ExpressionError as error:
        position, sentence = error.position, error.message
    else:
        assert compile_requirement(text).holds(HOST) == (obstacles(tree, HOST) == ())
        return

    assert 0 <= position <= len(text)
    assert sentence.endswith(".")
