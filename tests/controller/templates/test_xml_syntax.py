"""Templates in XML: what they mean, what is said of broken ones, and that they say the same as text."""

import os

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from innkeeper_controller.templates import Syntax, attributes_of, merged, parse
from innkeeper_controller.templates import text as text_syntax
from innkeeper_controller.templates.attributes import MAX_ATTRIBUTES, MAX_TEMPLATE_BYTES, Attribute, Pair
from innkeeper_controller.templates.errors import MAX_MISTAKES, in_order, sentence
from innkeeper_controller.templates.kept import kept_as_text
from innkeeper_controller.templates.vm import read_vm_template
from innkeeper_controller.templates.xml_syntax import render, scan

SEED = int(os.environ.get("INNKEEPER_SEED", "1"))


def meaning(attributes):
    """Return names and values without their places."""
    return [
        (each.name, each.value if isinstance(each.value, str) else [(pair.key, pair.value) for pair in each.value])
        for each in attributes
    ]


def sentences(text):
    return [sentence(each) for each in in_order(scan(text).mistakes)]


@pytest.mark.parametrize(
    ("text", "attributes"),
    [
        ("<VM/>", []),
        ("<TEMPLATE></TEMPLATE>", []),
        ("<HOST><NAME>web</NAME></HOST>", [("NAME", "web")]),
        ("<T><name>web</name></T>", [("NAME", "web")]),
        ("<T><NAME> web\n </NAME></T>", [("NAME", "web")]),
        ("<T><A>\n<![CDATA[ x \n]]>\n</A></T>", [("A", " x \n")]),
        ("<T><A>1<![CDATA[<2>]]>3</A></T>", [("A", "1<2>3")]),
        ("<T><A>&lt;&amp;&#10;&quot;</A></T>", [("A", '<&\n"')]),
        ("<T><A/><B></B></T>", [("A", ""), ("B", "")]),
        ("<T><A> </A></T>", [("A", "")]),
        ("<T><A>1</A><A>2</A></T>", [("A", "1"), ("A", "2")]),
        ("<T><A><K>1</K><L>2</L></A></T>", [("A", [("K", "1"), ("L", "2")])]),
        ("<T><A>\n <k>1</k>\n <K>2</K>\n</A></T>", [("A", [("K", "1")])]),
        ("<T><!-- why --><A>1<!-- not 2 --></A></T>", [("A", "1")]),
        ('<T xmlns="http://x"><A type="str">1</A></T>', [("A", "1")]),
        ('\n <?xml version="1.0" encoding="ISO-8859-1"?>\n<T><A>größe</A></T>', [("A", "größe")]),
        ("\ufeff<T>\r\n<A>a\r\nb&#13;c</A></T>", [("A", "a\nb\nc")]),
    ],
)
def test_a_document_means_its_attributes_in_order(text, attributes):
    assert meaning(parse(text)) == attributes


def test_every_attribute_knows_where_it_and_its_value_stand():
    assert parse("\n  <VM><A>1</A>\n <DISK><IMAGE><![CDATA[tiny]]></IMAGE>\n<SIZE/></DISK></VM>") == (
        Attribute(name="A", value="1", line=2, column=7, value_line=2, value_column=10),
        Attribute(
            name="DISK",
            value=(
                Pair(key="IMAGE", value="tiny", line=3, column=8, value_line=3, value_column=24),
                Pair(key="SIZE", value="", line=4, column=1, value_line=4, value_column=1),
            ),
            line=3,
            column=2,
            value_line=3,
            value_column=2,
        ),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<", ["line 1, column 1: This is not XML: unclosed token."]),
        ("<T>\n<A>1</B></T>", ["line 2, column 7: This is not XML: mismatched tag; <A> of line 2 is open."]),
        ("<T><A>&x;</A></T>", ["line 1, column 7: This is not XML: undefined entity; <A> of line 1 is open."]),
        ("<A/><B/>", ["line 1, column 5: This is not XML: junk after document element."]),
        (
            '<!DOCTYPE T [<!ENTITY x "y">]><T/>',
            ["line 1, column 13: A template has no document type and no entities; delete the <!DOCTYPE ...>."],
        ),
        (
            "<?php echo ?><T/>",
            ["line 1, column 1: A template has no processing instructions; delete <?php ...?>."],
        ),
        (
            "<T><A><B>\n<C><D/></C></B></A></T>",
            ["line 2, column 1: <C> is nested too deeply; a vector has plain values only."],
        ),
        ("<T>x<A>1</A></T>", ["line 1, column 4: x stands outside of all attributes."]),
        ("<T><A>x<B>1</B></A></T>", ["line 1, column 7: A has text beside its elements: x."]),
        (
            "<T><a-b>1</a-b></T>",
            [
                (
                    "line 1, column 4: A name has up to 128 letters, digits and _, no digit first, not a-b."
                )
            ],
        ),
        ("<T><A>]]&gt;</A></T>", ["line 1, column 7: The value of A has ]]> in it, which no template may have."]),
        (
            "<T>\x01</T>",
            ["line 1, column 4: The character U+0001 cannot be part of a template; delete it."],
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(text, expected):
    assert sentences(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "<T>" + "<A/>" * (MAX_ATTRIBUTES + 5) + "</T>",
        "<T><V>" + "<A/>" * (MAX_ATTRIBUTES + 5) + "</V></T>",
    ],
)
def test_too_many_attributes_are_refused(text):
    assert [each.message for each in scan(text).mistakes] == ["The template has more than 10000 attributes."]


@pytest.mark.parametrize(
    "text",
    [
        "<a>" * (MAX_TEMPLATE_BYTES // 3),
        "<T>" + "\n" * (MAX_TEMPLATE_BYTES - 10) + "</T>",
        "<T><A>" + "&lt;" * (MAX_TEMPLATE_BYTES // 5) + "</A></T>",
        "<T><A>" + "<![CDATA[]]>" * (MAX_TEMPLATE_BYTES // 13) + "</A></T>",
        "<" * MAX_TEMPLATE_BYTES,
        "<T " + "".join(f"a{number}='' " for number in range(80_000)) + "/>",
        "<T><A>" + "]]&gt;</A><A>" * 9000,
        " " * (MAX_TEMPLATE_BYTES - 1) + "<",
        "<T " * 300_000,
    ],
    ids=range(9),
)
def test_large_and_odd_documents_are_answered_with_few_mistakes(text):
    assert len(scan(text).mistakes) <= MAX_MISTAKES


@seed(SEED)
@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["<", ">", "</", "<T>", "</T>", "<A>", "</A>", "<A/>", "<![CDATA[", "]]>", "&", "&lt;", "&#0;", "<?x ?>",
             "<!--", "-->", "<!DOCTYPE", "[", "]", "\n", " ", "é", "\x00", "\ud800", "\ufffe", "x", "='", '"']
        )
    ).map("".join)
)  # fmt: skip
def test_any_text_is_either_understood_or_refused(text):
    for mistake in scan("<T>" + text).mistakes:
        assert mistake.line >= 1
        assert mistake.column >= 1


NAMES = st.from_regex(r"[A-CX_][A-CX019_]{0,7}", fullmatch=True)
VALUES = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn"), include_characters="\n\t"), max_size=30
).filter(lambda text: "]]>" not in text)
VECTORS = st.dictionaries(NAMES, VALUES, min_size=1, max_size=4).map(
    lambda pairs: tuple(Pair(key=k, value=v) for k, v in pairs.items())
)
ATTRIBUTES = st.lists(st.builds(Attribute, name=NAMES, value=st.one_of(VALUES, VECTORS)), max_size=6)


@seed(SEED)
@settings(max_examples=50, deadline=None)
@given(ATTRIBUTES)
def test_what_is_rendered_parses_to_the_same_in_xml_and_in_text(attributes):
    assert meaning(parse(render(attributes, "VM"))) == meaning(attributes)
    assert meaning(parse(text_syntax.render(attributes))) == meaning(attributes)


@pytest.mark.parametrize(
    ("attributes", "document"),
    [
        ([], "<TEMPLATE></TEMPLATE>"),
        ([Attribute(name="A", value=""), Attribute(name="B", value=())], "<TEMPLATE><A></A><B></B></TEMPLATE>"),
        ([Attribute(name="1A", value="x")], "<TEMPLATE><_1A><![CDATA[x]]></_1A></TEMPLATE>"),
        ([Attribute(name="A", value="]]>\x00")], "<TEMPLATE><A><![CDATA[]]]]><![CDATA[> ]]></A></TEMPLATE>"),
    ],
)
def test_what_is_rendered_is_well_formed_whatever_an_old_database_holds(attributes, document):
    assert render(attributes) == document


TEXT = """
NAME = web
CPU = 0.5
MEMORY = 128
DISK = [ IMAGE = "tiny" ]
DISK = [ TYPE = fs, SIZE = 512, FORMAT = raw ]
NIC = [ NETWORK = "lan", IP = 192.168.0.10 ]
OS = [ BOOT = "disk0,nic0" ]
CONTEXT = [ NETWORK = YES, SET_HOSTNAME = "$NAME", START_SCRIPT = "#!/bin/sh
echo \\"$NIC[IP]\\" > /tmp/ip
" ]
FEATURES = [ ]
HAIZEA = [ start = "+00:00:30", duration = "01:00:00", preemptible = "no" ]
LABELS = "a,b"
"""


def test_a_template_in_text_and_its_twin_in_xml_ask_for_the_same_vm():
    def without_places(template):
        unplaced = {"line", "column"}

        def plain(value):
            if isinstance(value, tuple):
                return [plain(each) for each in value]
            fields = getattr(value, "__struct_fields__", None)
            return value if fields is None else {f: plain(getattr(value, f)) for f in fields if f not in unplaced}

        return plain(template)

    document = render(parse(TEXT), "VM")

    assert without_places(read_vm_template(document)) == without_places(read_vm_template(TEXT, Syntax.TEXT))


@seed(SEED)
@settings(max_examples=50, deadline=None)
@given(st.lists(st.builds(Attribute, name=NAMES, value=VECTORS), max_size=6, unique_by=lambda each: each.name))
def test_kept_vectors_come_back_as_they_were_unless_text_syntax_cannot_write_them(attributes):
    writable = [each for each in attributes if not any(pair.value.endswith("\\") for pair in each.value)]

    assert meaning(attributes_of(kept_as_text(writable))) == meaning(writable)


def test_kept_attributes_come_back_with_their_structure():
    kept = kept_as_text(
        parse('A = 1 B = [ K = "x, y", L = "[ ]" ] B = [ M = "two\nlines" ] C = [ ] D = "a [ b ]" A = 2')
    )

    assert meaning(attributes_of(kept)) == [
        ("A", "1\n2"),
        ("B", [("K", "x, y"), ("L", "[ ]")]),
        ("B", [("M", "two\nlines")]),
        ("C", []),
        ("D", "a [ b ]"),
    ]


def test_what_is_appended_replaces_all_of_its_name():
    assert meaning(merged(parse("A = 1 B = 2 A = 3 C = 4"), parse("A = 5 A = 6 D = 7"))) == [
        ("B", "2"), ("C", "4"), ("A", "5"), ("A", "6"), ("D", "7"),
    ]  # fmt: skip
