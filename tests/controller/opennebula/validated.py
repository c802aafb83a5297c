"""Validates documents against OpenNebula's own schemas, so that every test that is given one can do so.

The documents have no namespace and the schemas demand one: it is put on a copy before.
"""

from functools import lru_cache
from pathlib import Path

from lxml import etree

SCHEMAS = Path(__file__).parents[2] / "data" / "opennebula-xsd"
NAMESPACE = "http://opennebula.org/XMLSchema"
#: ``{root element: schema}`` where the schema is not called like the element.
NAMED_OTHERWISE = {"HISTORY_RECORDS": "acct", "RAFT": "raftstatus", "SHOWBACK_RECORDS": "showback"}
#: Documents that OpenNebula has no schema of.
WITHOUT_SCHEMA = {"HOOKLOG"}
#: Documents whose TEMPLATE is the schema's business; in others, and in USER_TEMPLATE, anything may be.
WITH_TYPED_TEMPLATE = {
    *("VM", "VM_POOL", "HISTORY_RECORDS", "ZONE", "ZONE_POOL", "SECURITY_GROUP", "SECURITY_GROUP_POOL"),
}
#: What only lists of whole VMs and networks have, which have schemas of their own.
EXTENDED = ("VM/PERMISSIONS", "VNET/AR_POOL/AR/USED_LEASES")


def validated(document):
    """Return the document, parsed and without a namespace.

    Raises:
        AssertionError: it is not as its schema has it; the text says where.
    """
    root = etree.fromstring(document.encode())
    if root.tag in WITHOUT_SCHEMA or _tells_of_hosts(root):
        return root
    schema = schema_of(root.tag, extended=any(root.find(path) is not None for path in EXTENDED))
    schema.validate(_with_namespace(root, free=root.tag not in WITH_TYPED_TEMPLATE))
    wrong = [error.message for error in schema.error_log]
    assert not wrong, f"{wrong[0]}\n{etree.tostring(root, pretty_print=True).decode()[:20_000]}"
    return root


@lru_cache
def schema_of(root, *, extended):
    """Return the schema of documents with that root element."""
    name = NAMED_OTHERWISE.get(root, root.lower()) + ("_extended" if extended and root.endswith("_POOL") else "")
    return etree.XMLSchema(etree.parse(SCHEMAS / f"{name}.xsd"))


def _tells_of_hosts(root):
    """Return True for samples of hosts, which OpenNebula's own schema of samples has no room for."""
    return root.tag == "MONITORING_DATA" and root.find("MONITORING/CAPACITY") is not None


def _with_namespace(element, *, free):
    named = etree.Element(f"{{{NAMESPACE}}}{element.tag}", nsmap={None: NAMESPACE})
    named.text, named.tail = element.text, element.tail
    if element.tag == "USER_TEMPLATE" or (free and element.tag == "TEMPLATE"):
        return named
    named.extend(_with_namespace(child, free=free) for child in element)
    return named
