"""The one way XML for libvirt is made here: from elements, refusing text that XML cannot carry."""

import re
import xml.etree.ElementTree as ET

from innkeeper_plugins.errors import DriverError

_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def plain(text: str) -> str:
    """Return the text as it is.

    Raises:
        DriverError: ``refused``: it has a character that XML cannot carry, or that could begin a new line.
    """
    if _FORBIDDEN.search(text):
        raise DriverError(f"{text!r} has a control character; libvirt's XML cannot carry it", code="refused")
    return text


def add(parent: ET.Element, tag: str, text: str = "", **attributes: str) -> ET.Element:
    """Add an element with that text and those attributes, and return it."""
    element = ET.SubElement(parent, tag, {name: plain(value) for name, value in attributes.items()})
    element.text = plain(text) or None
    return element
