"""A stored template's document."""

from functools import lru_cache

from innkeeper_controller.cluster import Cluster
from innkeeper_controller.opennebula.documents.markup import moment, of_attributes
from innkeeper_controller.opennebula.documents.ownership import head, lock, permissions
from innkeeper_controller.records import StoredTemplate
from innkeeper_controller.templates import syntax

#: Texts that are kept parsed.
_REMEMBERED = 1024


def template(cluster: Cluster, record: StoredTemplate) -> str:
    """Return all of a stored template; lists have the same."""
    return (
        f"<VMTEMPLATE>{head(cluster, record.template_id, record)}{lock(cluster, record.lock)}"
        f"{permissions(record.mode)}<REGTIME>{moment(record.registered_at_s)}</REGTIME>"
        f"<TEMPLATE>{_elements(record.text)}</TEMPLATE></VMTEMPLATE>"
    )


@lru_cache(maxsize=_REMEMBERED)
def _elements(text: str) -> str:
    """Return what can be understood of the text."""
    return of_attributes(each for each in syntax.scan(text).attributes if each.name != "NAME")
