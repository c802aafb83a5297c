"""Requirements and ranks asked of columns say bit by bit what they say of each host."""

import os

import numpy as np
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from tests.controller.expressions.listed_columns import ListedColumns

from innkeeper_controller.expressions import obstacles, rank_vector, requirement_mask
from innkeeper_controller.expressions.meaning import rank_function, requirement_function
from innkeeper_controller.expressions.names import CURRENT_VMS
from innkeeper_controller.expressions.syntax import Chain, Compare, Every, Name, Negative, Not, Number, Operator, Some

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
TREES = st.recursive(
    COMPARES,
    lambda inner: st.one_of(
        st.builds(Every, parts=st.lists(inner, max_size=3).map(tuple)),
        st.builds(Some, parts=st.lists(inner, max_size=3).map(tuple)),
        st.builds(Not, part=inner),
    ),
    max_leaves=6,
)
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
