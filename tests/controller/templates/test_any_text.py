"""Whatever somebody sends as a template is answered, with few mistakes, each of them with a place, and soon."""

import contextlib
import os

import pytest
from hypothesis import example, given, seed, settings
from hypothesis import strategies as st

from innkeeper_controller.templates.attributes import MAX_ATTRIBUTES
from innkeeper_controller.templates.errors import TemplateError, in_order
from innkeeper_controller.templates.image import image_template
from innkeeper_controller.templates.network import network_template
from innkeeper_controller.templates.restricted import IMAGE, NETWORK, VM, restricted
from innkeeper_controller.templates.syntax import Syntax, detect, parse, scan
from innkeeper_controller.templates.vm import vm_template

SEED = int(os.environ.get("INNKEEPER_SEED", "1"))
#: Longest sentence that is told of a mistake.
MAX_SENTENCE = 2000
TOKENS = st.sampled_from(
    ["MEMORY", "DISK", "NIC", "CONTEXT", "RAW", "SCHED_ACTION", "TOPOLOGY", "A", "a:", "=", "[", "]", "{", "}", ",",
     '"', "'", "\\", '\\"', "#", "\n", "\r", "\t", " ", "  ", "1", "-1", "+", "é", "\x00", "\x85", "\u2028", "\ud800",
     "\uffff", "<", ">", "</", "/>", "<T>", "</T>", "<A>", "</A>", "<![CDATA[", "]]>", "&", "&lt;", "&#x0;",
     "<!DOCTYPE x", "<?x", "-", "?", ":", "*", "!", "|", "%YAML 1.3", "%TAG", "---", "...", "@", "`",
     "\\U", "\\x", "~", "$NIC[IP]", "$FILE["]
)  # fmt: skip
TEXTS = st.one_of(st.lists(TOKENS, max_size=25).map("".join), st.text(max_size=60))


def answered(text, syntax):
    parsed = scan(text, syntax)

    assert len(parsed.mistakes) <= MAX_ATTRIBUTES + 10
    for mistake in in_order(parsed.mistakes):
        assert mistake.line >= 1
        assert mistake.column >= 1
        assert len(mistake.message) <= MAX_SENTENCE
    return parsed


@pytest.mark.parametrize("syntax", Syntax)
@seed(SEED)
@settings(max_examples=100, deadline=None)
@example('a: "\\UFFFFFFFF"')
@example("%YAML 1.11\n---\na: 1")
@example("%YAML 1." + "9" * 5000 + "\n---\na: 1")
@given(TEXTS)
def test_any_text_is_understood_or_refused_in_every_syntax(syntax, text):
    answered(text, syntax)


@seed(SEED)
@settings(max_examples=100, deadline=None)
@given(TEXTS)
def test_whatever_can_be_understood_of_a_text_is_checked_against_every_vocabulary(text):
    attributes = scan(text, detect(text)).attributes

    for meant in (vm_template, image_template, network_template):
        with contextlib.suppress(TemplateError):
            meant(attributes)
    for table in (VM, IMAGE, NETWORK):
        assert len(restricted(attributes, table)) <= sum(max(1, len(each.value)) for each in attributes)


@pytest.mark.parametrize("raw", [b"", b"\xff\xfe", bytes(range(256)), b"<\xc3\x28/>", b"A = \xf0\x28\x8c\x28"])
@pytest.mark.parametrize("syntax", Syntax)
def test_any_bytes_are_answered(raw, syntax):
    answered(raw.decode("utf-8", "surrogateescape"), syntax)
    answered(raw.decode("latin-1"), syntax)


LENGTH = 1 << 15
#: (beginning, what is repeated until the text is long)
LONG = [
    ("", "A = [ B = 1\n"), ("", 'A="\\'), ("", "A = b = "), ("A = [ ", "B = 1 "), ("", 'A = "\nB = 1\n'), ("", "["),
    ("", "A-"), ("", "A = 1 "), ("", "#"), ("", "\n"), ("", "<T "), ("", "<a>"), ("<T><A>", "&amp;"),
    ("<T>", "<!-- -->"),
    ("<T><A>", "<![CDATA[x]]> "), ("", "<T><A>x"), ("a: ", "x "), ("", "- "), ("", "a: 1\n"), ("", "a: ["),
    ("", "\x00"), ("", "\ud800"), ("a: '", "x''"), ("a: |\n", "  x\n"),
]  # fmt: skip


@pytest.mark.parametrize(("beginning", "piece"), LONG, ids=range(len(LONG)))
@pytest.mark.parametrize("syntax", Syntax)
def test_long_texts_of_every_kind_are_answered(syntax, beginning, piece):
    """A scanner whose work grows with the square of the text would not come back."""
    answered(beginning + piece * (LENGTH // len(piece)), syntax)


def test_a_long_tag_is_not_told_in_full():
    with pytest.raises(TemplateError) as caught:
        parse("a: !" + "x" * 10_000 + " b")

    assert len(str(caught.value)) < MAX_SENTENCE
