"""The ACL rules as a document: OpenNebula's numbers and the words for them."""

from collections.abc import Iterable

from innkeeper_controller import acl
from innkeeper_controller.opennebula.documents.markup import element
from innkeeper_controller.records import AclRule


def acl_pool(records: Iterable[AclRule]) -> str:
    """Return rules in the order of their numbers."""
    rules = sorted(records, key=lambda each: each.rule_id)
    return f"<ACL_POOL>{''.join(_rule(each) for each in rules)}</ACL_POOL>"


def _rule(record: AclRule) -> str:
    rule = acl.read(record.text)
    users, things, rights, zones = acl.numbers(rule)
    return (
        f"<ACL><ID>{record.rule_id}</ID><USER>{users:x}</USER><RESOURCE>{things:x}</RESOURCE>"
        f"<RIGHTS>{rights:x}</RIGHTS><ZONE>{zones:x}</ZONE>{element('STRING', acl.shown(rule))}</ACL>"
    )
