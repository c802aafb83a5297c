"""Templates in YAML: the same attributes as in text syntax, nothing resolved, nothing that grows."""

import os

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from innkeeper_controller.templates import Syntax, parse
from innkeeper_controller.templates.attributes import MAX_ATTRIBUTES, Attribute, Pair
from innkeeper_controller.templates.errors import sentence
from innkeeper_controller.templates.syntax import detect
from innkeeper_controller.templates.yaml_syntax import scan

SEED = int(os.environ.get("INNKEEPER_SEED", "1"))


def parsed(text):
    return [
        (each.name, each.value if isinstance(each.value, str) else [(pair.key, pair.value) for pair in each.value])
        for each in parse(text, Syntax.YAML)
    ]


def sentences(text):
    return [sentence(each) for each in scan(text).mistakes]


@pytest.mark.parametrize(
    ("text", "attributes"),
    [
        ("", []),
        ("# nothing\n", []),
        ("---\n", []),
        ("~", []),
        ("name: web\nMEMORY: 96\n", [("NAME", "web"), ("MEMORY", "96")]),
        ('{"name": "web", "memory": 96}', [("NAME", "web"), ("MEMORY", "96")]),
        ("mac: 52:54:00:12:34:56", [("MAC", "52:54:00:12:34:56")]),
        ("a: yes\nb: 012\nc: 1_000\nd: 2024-01-01", [("A", "yes"), ("B", "012"), ("C", "1_000"), ("D", "2024-01-01")]),
        ("a:\nb: ~\nc: null\nd: '~'\ne: ''", [("A", ""), ("B", ""), ("C", ""), ("D", "~"), ("E", "")]),
        ("disk: { image: tiny, size: 5 }", [("DISK", [("IMAGE", "tiny"), ("SIZE", "5")])]),
        ("disk:\n  - image: a\n  - image: b\n", [("DISK", [("IMAGE", "a")]), ("DISK", [("IMAGE", "b")])]),
        ("labels: [x, y]", [("LABELS", "x"), ("LABELS", "y")]),
        ("labels: []", []),
        ("a: {}", [("A", [])]),
        ("a: |\n  one\n  two\n", [("A", "one\ntwo\n")]),
        ("a: >-\n  one\n  two\n", [("A", "one two")]),
    ],
)
def test_a_template_means_its_attributes_in_order(text, attributes):
    assert parsed(text) == attributes


def test_every_attribute_knows_where_it_and_its_value_stand():
    assert parse('name: "web"\ndisk:\n  - image: tiny\n', Syntax.YAML) == (
        Attribute(name="NAME", value="web", line=1, column=1, value_line=1, value_column=8),
        Attribute(
            name="DISK",
            value=(Pair(key="IMAGE", value="tiny", line=3, column=5, value_line=3, value_column=12),),
            line=3,
            column=5,
            value_line=3,
            value_column=5,
        ),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: &x 1\nb: *x", "line 1, column 4: A template has no anchors and aliases; write the value out."),
        ("a: *x", "line 1, column 4: A template has no anchors and aliases; write the value out."),
        (
            "a: !!python/object:os.system x",
            "line 1, column 4: A template has no tags; delete tag:yaml.org,2002:python/object:os.system.",
        ),
        ("a: 1\n---\nb: 2", "line 2, column 1: A template is one YAML document; delete the --- and what follows."),
        ("- a", "line 1, column 1: A template in YAML is a mapping, NAME: value, one a line."),
        ("just words", "line 1, column 1: A template in YAML is a mapping, NAME: value, one a line."),
        ("a: [[1]]", "line 1, column 5: A has a list inside a list."),
        ("a: { b: [1] }", "line 1, column 9: B in A has to be one value; several go into one text"),
        ("a: { b: { c: 1 } }", "line 1, column 9: B in A has to be one value; several go into one text"),
        ("a: [{ b: { c: { d: 1 } } }]", "line 1, column 15: This is nested too deeply; a vector"),
        ("a: 1\nA: 2", "line 2, column 1: A stands on line 1 already; to repeat it, give it a list."),
        ("a: { b: 1, B: 2 }", "line 1, column 12: B stands in this A already."),
        (
            "a-b: 1",
            "line 1, column 1: A name has up to 128 letters, digits and _, no digit first, not a-b.",
        ),
        (
            "? [a]\n: 1",
            "line 1, column 3: A name has up to 128 letters, digits and _, no digit first, not this.",
        ),
        (
            "<<: { a: 1 }",
            "line 1, column 1: A name has up to 128 letters, digits and _, no digit first, not <<.",
        ),
        ("a: 'x]]>'", "line 1, column 4: The value of A has ]]> in it, which no template may have."),
        ("a: 1\nb: c: d", "line 2, column 5: This is not YAML: mapping values are not allowed here."),
        ("a: 1\x07", "line 1, column 5: The character U+0007 cannot be part of a template; delete it."),
        ("%YAML 3.0\n---\na: 1", "line 1, column 1: This is not YAML: found incompatible YAML document"),
    ],
)
def test_a_mistake_is_told_with_its_place(text, expected):
    assert sentences(text)[0].startswith(expected)


def test_what_stands_before_a_broken_place_is_still_understood():
    result = scan("a: 1\nb-b: 2\nc: [")

    assert [each.name for each in result.attributes] == ["A"]
    assert [each.line for each in result.mistakes] == [2, 3]


@pytest.mark.parametrize("text", ["a: " + "[" * 1000, "{" * 1000, "a: [" + "{}," * (2 * MAX_ATTRIBUTES + 9) + "]"])
def test_texts_that_nest_or_repeat_without_end_are_refused(text):
    assert len(scan(text).mistakes) == 1


def test_a_bomb_of_aliases_is_refused_at_its_first_anchor():
    following = zip("abcdefgh", "bcdefghi", strict=True)
    layers = ["a: &a [x]", *(f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]" for old, new in following)]

    assert [each.line for each in scan("\n".join(layers)).mistakes] == [1]


@pytest.mark.parametrize(
    ("text", "syntax"),
    [
        ("NAME = web", Syntax.TEXT),
        ("# yaml: no\nNAME = web: x", Syntax.TEXT),
        ("", Syntax.TEXT),
        ("NAME = web\nmemory: 3", Syntax.TEXT),
        ("<VM/>", Syntax.XML),
        ("\ufeff\n <VM/>", Syntax.XML),
        ("# <VM/>", Syntax.TEXT),
        ("name: web", Syntax.YAML),
        ("\n# A = 1\n\nname: web", Syntax.YAML),
        ("\ufeffname: web", Syntax.YAML),
        ('"name": web', Syntax.YAML),
        ("name:\n  x", Syntax.YAML),
        ("---\nname: web", Syntax.YAML),
        ('{"name": 1}', Syntax.YAML),
        ("- name: web", Syntax.YAML),
    ],
)
def test_the_syntax_is_told_by_how_the_template_begins(text, syntax):
    assert detect(text) is syntax


@seed(SEED)
@settings(max_examples=100, deadline=None)
@given(st.text(st.sampled_from("ab1 :-[]{},\"'#&*!|>\n\t%@`~é\x00\ud800")))
def test_any_text_is_either_understood_or_refused(text):
    for mistake in scan(text).mistakes:
        assert mistake.line >= 1
        assert mistake.column >= 1
