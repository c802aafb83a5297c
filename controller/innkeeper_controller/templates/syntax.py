"""From the text of a template to its attributes, whichever of the three syntaxes it is in."""

import re
from collections.abc import Callable
from enum import StrEnum

from innkeeper_controller.templates import text as text_syntax
from innkeeper_controller.templates import xml_syntax, yaml_syntax
from innkeeper_controller.templates.attributes import Attribute, Parsed
from innkeeper_controller.templates.errors import TemplateError


class Syntax(StrEnum):
    """How a template is written."""

    #: OpenNebula's ``NAME = value``.
    TEXT = "text"
    YAML = "yaml"
    #: What programs send to OpenNebula.
    XML = "xml"


_XML_START = re.compile(r"\ufeff?\s*<")


#: The first line that is neither blank nor a comment begins like YAML: ``---``, JSON, a list, a key with a colon.
_YAML_START = re.compile(
    r"""
    \ufeff? (?: [ \t\r]* (?: \#[^\n]* )? \n )*+ [ \t]*
    (?: --- | %YAML | \{ | -\s | ["']?[\w.-]++["']?[ \t]*:(?:\s|$) )
    """,
    re.VERBOSE,
)


def detect(text: str) -> Syntax:
    """Return the syntax that the template seems to be in; text, unless it begins like XML or YAML."""
    if _XML_START.match(text):
        return Syntax.XML
    return Syntax.YAML if _YAML_START.match(text) else Syntax.TEXT


_SCANS: dict[Syntax, Callable[[str], Parsed]] = {
    Syntax.TEXT: text_syntax.scan,
    Syntax.YAML: yaml_syntax.scan,
    Syntax.XML: xml_syntax.scan,
}


def scan(text: str, syntax: Syntax | None = None) -> Parsed:
    """Return what can be understood of a template, with the mistakes of its syntax."""
    return _SCANS[syntax or detect(text)](text)


def parse(text: str, syntax: Syntax | None = None) -> tuple[Attribute, ...]:
    """Return the attributes of a template in the order they were written.

    Args:
        text: The template.
        syntax: What it is in; None to go by how it begins.

    Raises:
        TemplateError: with every mistake of the syntax; nothing is known of the vocabulary here.
    """
    parsed = scan(text, syntax)
    if parsed.mistakes:
        raise TemplateError(parsed.mistakes)
    return parsed.attributes
