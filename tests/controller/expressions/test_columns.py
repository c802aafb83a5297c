"""Requirements and ranks asked of columns say bit by bit what they say of each host."""

import os

import numpy as np
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from tests.controller.expressions.listed_columns import ListedColumns

from innkeeper_controller.expressions import compile_rank, compile_requirement, obstacles, rank_vector, requirement_mask
from innkeeper_controller.expressions.meaning import rank_function, requirement_function
from innkeeper_controller.expressions.names import CURRENT_VMS
from innkeeper_controller.expressions.syntax import (
    Chain,
    Compare,
    Every,
    Name,
    Negative,
    Not,
    Number,
    Operator,
    Some,
    describe,
)

SEED = int(os.environ.get("INNKEEPER_SEED", "1"))
ORDERS = (Operator.GREATER, Operator.LESS, Operator.GREATER_OR_EQUAL, Operator.LESS_OR_EQUAL)
OTHERS = ("ARCH", "RACK", "CPU_FLAGS", "HUGE")
NAMES = st.sampled_from([*OTHERS, "FREE_CPU", "RUNNING_VMS", CURRENT_VMS, "NOBODY_HAS"])
WORDS = ("x86_64", "r1", "r2", "avx2", "1", "3.0", "-0", " 7 ", "1e3", "0x1", "nan", "inf", "-inf", "True", "")
TEXTS = st.sampled_from([*WORDS, "*", "r*", "*1*", "?1", "[rx][!2]*", "[", "r[1", "[]x]*", "?", "1*"])
EDGES = (0.0, -0.0, 1.0, 2.0, 3.0, 7.0, 1.5, 1000.0, -1.0, 2.0**53, 1e300, -1e300, 5e-324, 1e15)
NUMBERS = st.one_of(st.sampled_from(EDGES), st.floats(allow_nan=False, allow_infinity=False))
COMPARES = st.one_of(
    st.builds(Compare, name=NAMES, operator=st.sampled_from(ORDERS), value=NUMBERS),
    st.builds(
        Compare,
        name=NAMES,
        operator=st.sampled_from([Operator.EQUAL, Operator.NOT_EQUAL, Operator.CONTAINS]),
        value=st.one_of(NUMBERS, TEXTS),
    ),
)


def trees(parts):
    """Return trees whose conjunctions and disjunctions have at least so many parts."""
    return st.recursive(
        COMPARES,
        lambda inner: st.one_of(
            st.builds(Every, parts=st.lists(inner, min_size=parts, max_size=3).map(tuple)),
            st.builds(Some, parts=st.lists(inner, min_size=parts, max_size=3).map(tuple)),
            st.builds(Not, part=inner),
        ),
        max_leaves=6,
    )


TREES = trees(0)
FLOATS = st.one_of(st.sampled_from([*EDGES, float("nan"), float("inf"), float("-inf")]), st.floats())
WHOLE = st.one_of(st.sampled_from([0, 1, 3, 7, -5, True, False]), st.integers(-(10**14), 10**14))
ENDLESS = st.sampled_from([10**400, -(10**400), 10**5000, 2**53 + 1, 10**15])
ONE = st.one_of(
    FLOATS, WHOLE, ENDLESS, st.sampled_from([*WORDS, "r1, r2 avx2", "sse,1  7", " ", ","]), st.text(max_size=3)
)
SAID = st.one_of(ONE, st.lists(ONE, max_size=3).map(tuple))
VM_IDS = st.sets(st.sampled_from([1, 3, 7, 1000, 2**53 + 1]), max_size=3).map(sorted).map(tuple)
HOSTS = st.lists(
    st.fixed_dictionaries(
        {CURRENT_VMS: VM_IDS, "FREE_CPU": st.one_of(FLOATS, WHOLE), "RUNNING_VMS": st.one_of(FLOATS, WHOLE)},
        optional=dict.fromkeys(OTHERS, SAID),
    ),
    max_size=6,
)
RANKS = st.recursive(
    st.one_of(st.builds(Number, value=NUMBERS), st.builds(Name, name=NAMES)),
    lambda inner: st.one_of(
        st.builds(Negative, part=inner),
        st.builds(
            Chain,
            first=inner,
            rest=st.lists(st.tuples(st.sampled_from("+-*/"), inner), min_size=1, max_size=3).map(tuple),
        ),
    ),
    max_leaves=6,
)


@st.composite
def asked(draw):
    """Return hosts, and which of their rows are asked."""
    hosts = draw(HOSTS)
    rows = st.lists(st.integers(0, len(hosts) - 1), max_size=8) if hosts else st.just([])
    bounds = st.one_of(st.none(), st.integers(-8, 8))
    indices = rows.map(lambda each: np.array(each, dtype=np.intp))
    return hosts, draw(st.one_of(st.none(), indices, st.builds(slice, bounds, bounds)))


def rows_asked(hosts, at):
    return hosts if at is None else hosts[at] if isinstance(at, slice) else [hosts[row] for row in at]


@seed(SEED)
@settings(max_examples=100, deadline=None)
@given(TREES, asked())
def test_the_mask_of_a_requirement_is_what_it_says_of_each_host(tree, hosts_and_rows):
    hosts, at = hosts_and_rows
    columns, holds = ListedColumns(hosts), requirement_function(tree)
    mask = requirement_mask(tree, columns, at)

    assert mask.dtype == np.bool_
    assert mask.tolist() == [holds(host) for host in rows_asked(hosts, at)]
    assert mask.tolist() == [not obstacles(tree, host) for host in rows_asked(hosts, at)]


@seed(SEED)
@settings(max_examples=100, deadline=None)
@given(RANKS, asked())
def test_the_vector_of_a_rank_is_bit_by_bit_what_it_gives_to_each_host(tree, hosts_and_rows):
    hosts, at = hosts_and_rows
    columns, rank = ListedColumns(hosts), rank_function(tree)
    vector = rank_vector(tree, columns, at)

    assert vector.dtype == np.float64
    assert vector.tobytes() == np.array([rank(host) for host in rows_asked(hosts, at)], dtype=np.float64).tobytes()


#: Enough rows and values for every way of answering: comparing codes, tables, and an index of the values.
MANY = tuple(
    {
        "FREE_CPU": row % 7 * 100.0,
        "NAME": f"host-{row}",
        "SERIAL": row if row % 2 else f"{row}.0",
        "ARCH": ("x86_64", "aarch64")[row % 2],
        "CPU_FLAGS": ("sse", f"f{row % 100}"),
        **({"RACK": f"r{row % 5}"} if row % 11 else {}),
        CURRENT_VMS: (row, row + 5000),
    }
    for row in range(1500)
)
MANY_COLUMNS = ListedColumns(MANY)


@pytest.mark.parametrize(
    "text",
    [
        "",
        'NAME = "host-77"',
        'NAME != "host-77"',
        'NAME = "host-7*"',
        'NAME @> "host-77"',
        "SERIAL = 8",
        "SERIAL = 9",
        'SERIAL = "8.0"',
        'SERIAL = "9.0"',
        "SERIAL != 9",
        "SERIAL > 1490",
        'CPU_FLAGS = "f5"',
        'CPU_FLAGS != "f5"',
        'CPU_FLAGS = "sse"',
        "ARCH = x86_64",
        "ARCH != x86_64",
        'ARCH = "*"',
        "RACK != r1",
        'RACK = "*"',
        'RACK = "r[0-3]"',
        'RACK = "r[0-2]"',
        "RACK = nowhere",
        "RACK != nowhere",
        "NOBODY_HAS = 1 | NAME = nobody",
        "FREE_CPU > 100 & RACK != r1 & ARCH = x86_64",
        '!(FREE_CPU = "*00")',
        "CURRENT_VMS = 5003 | CURRENT_VMS = 7",
        "CURRENT_VMS != 5003",
        'CURRENT_VMS @> "50*"',
        "CURRENT_VMS = 99999",
    ],
)
@pytest.mark.parametrize("at", [None, np.arange(1499, -1, -3), slice(10, 300)], ids=["all", "some", "slice"])
def test_many_rows_are_answered_like_each_of_them(text, at):
    requirement = compile_requirement(text)
    expected = [requirement.holds(host) for host in rows_asked(MANY, at)]

    assert requirement.mask(MANY_COLUMNS, at).tolist() == expected
    assert requirement.mask(MANY_COLUMNS, at).tolist() == expected


def test_a_mask_belongs_to_who_asked_for_it():
    columns, requirement = MANY_COLUMNS, compile_requirement("ARCH = x86_64 | FREE_CPU > 0")
    first = requirement.mask(columns)
    expected = first.tolist()
    first[:] = False

    assert requirement.mask(columns).tolist() == expected


def test_a_vector_belongs_to_who_asked_for_it():
    columns, rank = MANY_COLUMNS, compile_rank("FREE_CPU")
    rank.vector(columns)[:] = -1.0

    assert rank.vector(columns).tolist() == [rank.of(host) for host in MANY]


def test_other_hosts_get_other_answers():
    requirement, rank = compile_requirement("RACK = r1"), compile_rank("RACK_NUMBER * 2")
    here = ListedColumns([{"RACK": "r1", "RACK_NUMBER": 1, CURRENT_VMS: ()}])
    there = ListedColumns([{"RACK": "r2", "RACK_NUMBER": 2, CURRENT_VMS: ()}])

    assert [requirement.mask(each).tolist() for each in (here, there, here)] == [[True], [False], [True]]
    assert [rank.vector(each).tolist() for each in (here, there, here)] == [[2.0], [4.0], [2.0]]


@pytest.mark.parametrize(
    ("text", "names", "static", "moving"),
    [
        ("", set(), "", None),
        ("ARCH = a", {"ARCH"}, "ARCH = a", None),
        ("FREE_CPU > 1", {"FREE_CPU"}, None, "FREE_CPU > 1"),
        ("ARCH = a & FREE_CPU > 1", {"ARCH", "FREE_CPU"}, 'ARCH = "a"', "FREE_CPU > 1"),
        (
            "CURRENT_VMS != 1 & ARCH = a & FREE_CPU > 1 & RACK=b",
            {"ARCH", "FREE_CPU", "RACK", CURRENT_VMS},
            'ARCH = "a" & RACK = "b"',
            "CURRENT_VMS != 1 & FREE_CPU > 1",
        ),
        ("ARCH = a | FREE_CPU > 1", {"ARCH", "FREE_CPU"}, None, "ARCH = a | FREE_CPU > 1"),
    ],
)
def test_a_requirement_knows_what_it_asks_for_and_what_of_it_vms_do_not_change(text, names, static, moving):
    requirement = compile_requirement(text)
    halves = requirement.halves()

    assert (requirement.names, requirement.is_static) == (names, moving is None)
    assert tuple(None if half is None else half.text for half in halves) == (static, moving)


@seed(SEED)
@settings(max_examples=50, deadline=None)
@given(st.lists(trees(2), min_size=2, max_size=4).map(tuple), asked())
def test_both_halves_of_a_requirement_together_are_the_whole(parts, hosts_and_rows):
    hosts, at = hosts_and_rows
    columns = ListedColumns(hosts)
    whole = compile_requirement(describe(Every(parts=parts)))
    masks = [half.mask(columns, at) for half in whole.halves() if half is not None]

    assert np.logical_and.reduce(masks).tolist() == whole.mask(columns, at).tolist()


def test_the_static_half_is_the_same_for_all_who_have_it():
    texts = [f'FREE_CPU > {cpu} & ARCH = "x86_64" & RACK != "r1"' for cpu in (1, 2)]
    first, second = (compile_requirement(text).halves()[0] for text in texts)

    assert first is second


def test_a_half_that_would_be_too_long_for_a_text_still_has_to_hold():
    requirement = compile_requirement("FREE_CPU>1" + "&A=b" * 1000)
    static, moving = requirement.halves()

    assert len(static.text) > 4096
    assert (static.holds({"A": "b"}), static.holds({"A": "c"}), moving.text) == (True, False, "FREE_CPU > 1")


def test_a_rank_knows_what_it_asks_for():
    ranks = [compile_rank(text) for text in ("7", "CPU_CORES", "FREE_CPU - CPU_CORES")]

    assert [(rank.names, rank.is_static) for rank in ranks] == [
        (set(), True),
        ({"CPU_CORES"}, True),
        ({"CPU_CORES", "FREE_CPU"}, False),
    ]


def test_a_number_of_thousands_of_digits_is_nothing_special():
    host = {"SERIAL": 10**5000, CURRENT_VMS: ()}
    columns = ListedColumns([host])
    texts = ("SERIAL = 5", "SERIAL != 5", "SERIAL > 5", 'SERIAL = "1*"', 'SERIAL = "*"')
    requirements = [compile_requirement(text) for text in texts]

    assert [each.mask(columns).tolist() for each in requirements] == [[False], [True], [False], [False], [True]]
    assert [each.holds(host) for each in requirements] == [False, True, False, False, True]
    assert all(obstacles(each.tree, host) for each in requirements if not each.holds(host))
