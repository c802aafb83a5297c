"""Patterns fit what the shell's do."""

import fnmatch
import os

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from innkeeper_controller.expressions.patterns import pattern

SEED = int(os.environ.get("INNKEEPER_SEED", "1"))


@pytest.mark.parametrize(
    ("written", "fitting", "others"),
    [
        ("*", ["", "a", "a\nb"], []),
        ("a*", ["a", "ab"], ["", "ba"]),
        ("*a", ["a", "ba"], ["", "ab"]),
        ("a*a", ["aa", "aba"], ["a"]),
        ("*a*b*", ["ab", "xaxbx"], ["ba"]),
        ("?", ["a", "*"], ["", "ab"]),
        ("[abc]", ["a", "c"], ["d", "", "ab"]),
        ("[a-c]1", ["a1", "b1"], ["d1", "-1"]),
        ("[!a-c]", ["d", "!"], ["a", ""]),
        ("[^a]", ["b", "^"], ["a"]),
        ("[]]", ["]"], ["["]),
        ("[!]]", ["["], ["]"]),
        ("[a-]", ["a", "-"], ["b"]),
        ("[c-a]", [], ["a", "b", "c"]),
        ("[!c-a]", ["a", "b"], [""]),
        ("[[&&~~--]", ["[", "&", "~"], ["a"]),
        ("*[", ["[", "a["], ["a"]),
        ("*[]", ["[]"], ["[", "a"]),
        ("*[!]", ["[!]"], ["["]),
        (".*", [".", ".a"], ["a"]),
    ],
)
def test_a_pattern_fits_whole_texts(written, fitting, others):
    fits = pattern(written)

    assert [text for text in (*fitting, *others) if fits(text)] == fitting


@pytest.mark.parametrize("written", ["", "host-1", "a[b", "[]", "[!]", "]"])
def test_what_has_no_pattern_in_it_is_none(written):
    assert pattern(written) is None


@seed(SEED)
@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from("ab-]![?**"), max_size=10), st.text(st.sampled_from("ab-]![?*"), max_size=8))
def test_patterns_fit_what_the_standard_library_says(written, text):
    fits = pattern(written)

    assert (text == written if fits is None else fits(text)) == fnmatch.fnmatchcase(text, written)


def test_a_pattern_of_many_stars_or_brackets_takes_no_longer_than_its_length():
    """They would take years if they went back."""
    text = "a" * 2000

    assert not pattern("*a" * 1000 + "b")(text)
    assert pattern("*" * 4000)(text)
    assert pattern("[a" * 2000 + "*")(text) is False
