"""The grammar of OpenNebula's text syntax, and what is said of texts that break it."""

import os

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from innkeeper_controller.templates import Syntax, parse
from innkeeper_controller.templates.attributes import MAX_ATTRIBUTES, MAX_TEMPLATE_BYTES, Attribute, Pair
from innkeeper_controller.templates.errors import MAX_MISTAKES, TemplateError, in_order, sentence, show
from innkeeper_controller.templates.text import render, scan, shown_vector

SEED = int(os.environ.get("INNKEEPER_SEED", "1"))


def meaning(attributes):
    """Return names and values without their places."""
    return [
        (each.name, each.value if isinstance(each.value, str) else [(pair.key, pair.value) for pair in each.value])
        for each in attributes
    ]


def parsed(text):
    return meaning(parse(text, Syntax.TEXT))


def sentences(text):
    return [sentence(each) for each in in_order(scan(text).mistakes)]


@pytest.mark.parametrize(
    ("text", "attributes"),
    [
        ("", []),
        (" \n\t# only a comment = 3\n", []),
        ("NAME = web", [("NAME", "web")]),
        ("name=web\n", [("NAME", "web")]),
        ("NAME = web # the server", [("NAME", "web")]),
        ("NAME = web#1", [("NAME", "web")]),
        ("# A = 1\n  # B = 2\nC = 3", [("C", "3")]),
        ("A = 1 B = 2", [("A", "1"), ("B", "2")]),
        ('A = "1"B="2"', [("A", "1"), ("B", "2")]),
        ('A = "a # b = [ ], c"', [("A", "a # b = [ ], c")]),
        ('A = "two\n  lines"', [("A", "two\n  lines")]),
        (r'A = "say \"hi\" \n \x"', [("A", r'say "hi" \n \x')]),
        ("A = 'b'", [("A", "'b'")]),
        (r"A = C:\dir", [("A", r"C:\dir")]),
        ("A =\nB = 2", [("A", ""), ("B", "2")]),
        ("A =", [("A", "")]),
        ("A = # nothing\n", [("A", "")]),
        ('A = ""', [("A", "")]),
        ("A = [ ]", [("A", [])]),
        ("A = [\n]", [("A", [])]),
        ("A = [ K1 = v1, K2 = v2 ]", [("A", [("K1", "v1"), ("K2", "v2")])]),
        ("a=[k1=v1,k2=v2]", [("A", [("K1", "v1"), ("K2", "v2")])]),
        ("A = [ K1 = v1, # why\n  K2\n = \n v2\n]", [("A", [("K1", "v1"), ("K2", "v2")])]),
        ("A = [ K = first, K = second ]", [("A", [("K", "first")])]),
        ("A = 1\nA = 2", [("A", "1"), ("A", "2")]),
        ("_1 = 2", [("_1", "2")]),
        ("\ufeffA = 1\r\nB = 2\rC = 3", [("A", "1"), ("B", "2"), ("C", "3")]),
        ("A = größe", [("A", "größe")]),
    ],
)
def test_a_template_means_its_attributes_in_order(text, attributes):
    assert parsed(text) == attributes


def test_every_attribute_knows_where_it_and_its_value_stand():
    assert parse('A = 1\n\n  DISK = [ IMAGE = "tiny",\n   SIZE = 5 ]\n') == (
        Attribute(name="A", value="1", line=1, column=1, value_line=1, value_column=5),
        Attribute(
            name="DISK",
            value=(
                Pair(key="IMAGE", value="tiny", line=3, column=12, value_line=3, value_column=21),
                Pair(key="SIZE", value="5", line=4, column=4, value_line=4, value_column=11),
            ),
            line=3,
            column=3,
            value_line=3,
            value_column=10,
        ),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "NAME = my web",
            [
                (
                    "line 1, column 11: The value of NAME ends at the blank; a value with blanks needs quotes."
                    ' Did you mean NAME = "my web"?'
                )
            ],
        ),
        (
            "A = root=/dev/vda ro # why",
            [
                (
                    "line 1, column 9: The value of A ends at the =; a value with , = [ or ] needs quotes."
                    ' Did you mean A = "root=/dev/vda ro"?'
                )
            ],
        ),
        (
            "A = b, c",
            [
                (
                    "line 1, column 6: The value of A ends at the ,; a value with , = [ or ] needs quotes."
                    ' Did you mean A = "b, c"?'
                )
            ],
        ),
        ("A == 3", ["line 1, column 4: A has two = signs; one is enough."]),
        ("A : 3", ["line 1, column 3: Text syntax has an = after the name, not a colon: A = ..."]),
        ("A [ B = 1 ]", ["line 1, column 3: An = is missing between A and its [."]),
        (
            "A-B = 1",
            [
                (
                    "line 1, column 1: A name has up to 128 letters, digits and _, no digit first, not A-B."
                    " Did you mean A_B?"
                )
            ],
        ),
        ("= 4", ["line 1, column 1: A name is missing before the =."]),
        ('"x"', ["line 1, column 1: A value stands here without NAME = before it."]),
        (
            ", A = 1",
            [
                (
                    "line 1, column 1: A comma stands between the pairs of a vector only; attributes just follow"
                    " each other."
                )
            ],
        ),
        ("A = 1\n]", ["line 2, column 1: This ] closes nothing."]),
        ("[ A = 1 ]", ["line 1, column 1: A [ comes after NAME = only."]),
        (
            "<VM><CPU>1</CPU></VM>",
            ["line 1, column 1: This looks like XML; a template in XML begins with its root element."],
        ),
        ("ü = 1", ["line 1, column 1: 'ü' cannot begin an attribute."]),
        ("A = ]", ["line 1, column 5: A has no value before the ]."]),
        ("A", ["line 1, column 1: A is followed by no =; an attribute is NAME = value."]),
        ('A = "b', ["line 1, column 5: The quote of A's value is never closed."]),
        ("A = [ B = 1", ["line 1, column 5: The [ of A is never closed."]),
        ("A = [ B = 1 C = 2 ]", ["line 1, column 12: A comma is missing after B in A."]),
        ("A = [ B = 1, ]", ["line 1, column 12: The last comma in A is followed by nothing; delete it."]),
        ("A = [ , B = 1 ]", ["line 1, column 7: There is nothing before this comma in A; delete it."]),
        ("A = [ B = ]", ['line 1, column 11: B has no value; an empty one is written B = "".']),
        ("A = [ B == 1 ]", ["line 1, column 10: B has two = signs; one is enough."]),
        ("A = [ B ]", ["line 1, column 7: B in A is followed by no =; a vector has KEY = value pairs."]),
        ("A = [ ü = 1 ]", ["line 1, column 7: 'ü' cannot begin a key in A."]),
        (
            "A = [ B = c=d, E = 1 ]",
            [
                (
                    "line 1, column 12: The value of B ends at the =; a value with , = [ or ] needs quotes."
                    ' Did you mean B = "c=d"?'
                )
            ],
        ),
        ('A = "x]]>y"', ["line 1, column 5: The value of A has ]]> in it, which no template may have."]),
        ("A = b\x07c", ["line 1, column 6: The character U+0007 cannot be part of a template; delete it."]),
        ('A = "b\ud800c"', ["line 1, column 7: The character U+D800 cannot be part of a template; delete it."]),
    ],
)
def test_a_mistake_is_told_with_its_place_and_what_was_probably_meant(text, expected):
    assert sentences(text)[: len(expected)] == expected


def test_reading_goes_on_after_each_mistake():
    text = "A = b c\nGOOD = 1\nB == 2\nDISK = [ X = ,\n Y = 2 ]\nALSO_GOOD = [ K = v ]\nC [ 1 ]\n"

    assert [name for name, _ in meaning(scan(text).attributes)] == ["A", "GOOD", "ALSO_GOOD"]
    assert [each.line for each in in_order(scan(text).mistakes)] == [1, 3, 4, 7]


def test_a_quote_that_swallows_attributes_is_blamed_where_it_opened_and_they_are_still_read():
    text = 'NAME = "web\nMEMORY = 96\nDISK = [ IMAGE = "tiny" ]\nCPU = 1\n'

    assert sentences(text) == [
        "line 1, column 8: This quote is not closed on its line, and the next lines look like attributes."
    ]
    assert meaning(scan(text).attributes) == [("MEMORY", "96"), ("DISK", [("IMAGE", "tiny")]), ("CPU", "1")]


def test_a_quote_missing_at_the_very_end_is_blamed_where_it_opened():
    text = 'NAME = "web\nMEMORY = 96\nTITLE = "x"\nDESCRIPTION = y"'

    assert next(each.line for each in in_order(scan(text).mistakes)) == 1


def test_a_script_over_several_lines_is_no_mistake():
    script = "#!/bin/sh\nNAME=x\nB = 3\n"

    assert parsed(f'CONTEXT = [ START_SCRIPT = "{script}", N = "2" ]') == [
        ("CONTEXT", [("START_SCRIPT", script), ("N", "2")])
    ]


def test_a_bracket_that_swallows_attributes_is_blamed_where_it_opened_and_they_are_still_read():
    text = "NIC = [ NETWORK = lan\nMEMORY = 96\nDISK = [ IMAGE = x ]\n"

    assert sentences(text) == ["line 1, column 7: The [ of NIC is never closed."]
    assert meaning(scan(text).attributes) == [("MEMORY", "96"), ("DISK", [("IMAGE", "x")])]


def test_a_mistake_is_shown_under_its_line():
    text = "A = 1\nB == 2\n"

    assert (
        show(text, scan(text).mistakes) == "line 2, column 4: B has two = signs; one is enough.\n    B == 2\n       ^"
    )


def test_a_mistake_far_out_in_a_long_line_is_shown_with_what_is_around_it():
    text = 'A = "' + "x" * 1000 + '" B == 2'

    shown = show(text, scan(text).mistakes).splitlines()

    assert shown[1][shown[2].index("^") :].startswith("= 2")
    assert len(shown[1]) < 200


def test_a_template_that_is_too_large_is_refused_unread():
    assert sentences("A = 1\n" + "#" * MAX_TEMPLATE_BYTES) == [
        "line 1, column 1: The template is larger than 1048576 bytes; put large contents into an image instead."
    ]
    assert len(scan("ü" * (MAX_TEMPLATE_BYTES // 2 + 1)).mistakes) == 1


@pytest.mark.parametrize(
    "text", ["A = 1\n" * (MAX_ATTRIBUTES + 5), f"A = [ {', '.join(['B = 1'] * (MAX_ATTRIBUTES + 5))} ]"]
)
def test_too_many_attributes_are_refused(text):
    assert [each.message for each in scan(text).mistakes] == ["The template has more than 10000 attributes."]


def test_a_text_full_of_control_characters_is_told_of_the_first_ones():
    assert len(scan("A = 1" + "\x00" * 1000).mistakes) == 10


def test_no_more_mistakes_are_told_than_anybody_reads():
    with pytest.raises(TemplateError) as caught:
        parse("A == 1\n" * 5000)

    assert len(caught.value.mistakes) == MAX_MISTAKES


def test_what_text_syntax_cannot_write_is_written_in_xml():
    attribute = Attribute(name="A", value="ends in a \\")

    assert render([attribute]) == "<TEMPLATE><A><![CDATA[ends in a \\]]></A></TEMPLATE>"
    assert render([Attribute(name="A", value="C:\\")]) == "A = C:\\\n"
    assert shown_vector([Pair(key="K", value="x \\")]) == '[ K = "x \\" ]'


NAMES = st.from_regex(r"[A-CX_][A-CX019_]{0,7}", fullmatch=True)
VALUES = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn"), include_characters="\n\t"), max_size=30
).filter(
    lambda text: "]]>" not in text and not (text.endswith("\\") and any(sign in text for sign in ' \n\t\v\f,=#[]"'))
)
VECTORS = st.dictionaries(NAMES, VALUES, max_size=4).map(
    lambda pairs: tuple(Pair(key=k, value=v) for k, v in pairs.items())
)
ATTRIBUTES = st.lists(st.builds(Attribute, name=NAMES, value=st.one_of(VALUES, VECTORS)), max_size=6)


@seed(SEED)
@settings(max_examples=100, deadline=None)
@given(ATTRIBUTES)
def test_what_is_rendered_parses_to_the_same(attributes):
    assert parsed(render(attributes)) == meaning(attributes)


@seed(SEED)
@settings(max_examples=100, deadline=None)
@given(st.text(st.sampled_from('AB1_ =[],"#\\\n\t.-<:é\x00\ud800')))
def test_any_text_is_either_understood_or_refused_at_places_inside_it(text):
    result = scan(text)

    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for mistake in result.mistakes:
        assert 1 <= mistake.line <= len(lines)
        assert 1 <= mistake.column <= len(lines[mistake.line - 1]) + 1
    if not result.mistakes:
        assert meaning(scan(render(result.attributes)).attributes) == meaning(result.attributes)
