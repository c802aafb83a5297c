"""Requests about ACL rules; what a rule means, ``acl`` says."""

from innkeeper_controller import access, acl
from innkeeper_controller.access import Right
from innkeeper_controller.records import AclRule
from innkeeper_controller.requests import find
from innkeeper_controller.requests.table import Need, Nothing, Request, Who
from innkeeper_controller.turn import RefusalError, Turn
from innkeeper_plugins.vocabulary import Value

#: Every request of somebody who is no administrator may go over all of them.
MAX_RULES = 4096


class AddRule(Value):
    """A permission."""

    #: ``@1 VM+NET/* USE *``: users, kinds of things and which of them, rights, zone.
    rule: str


class NamedRule(Value):
    """One rule."""

    rule_id: int


class RuleView(Value):
    """One rule."""

    rule_id: int
    rule: str


def _view(rule: AclRule) -> RuleView:
    return RuleView(rule_id=rule.rule_id, rule=rule.text)


def add(turn: Turn, params: AddRule) -> RuleView:
    """Let somebody do something; a rule that there is already is answered again."""
    try:
        text = acl.shown(acl.read(params.rule))
    except acl.AclError as error:
        raise RefusalError("bad_request", str(error)) from error
    known = next((each for each in turn.cluster.acl_rules.values() if each.text == text), None)
    if known is not None:
        return _view(known)
    if len(turn.cluster.acl_rules) >= MAX_RULES:
        raise RefusalError("too_many", f"There are {MAX_RULES} ACL rules already; delete some, or use groups.")
    rule = AclRule(rule_id=turn.cluster.next_id("acl"), text=text)
    turn.put(rule)
    turn.event("acl.added", f"acl:{rule.rule_id}", rule=rule.text)
    return _view(rule)


def rules(turn: Turn, _params: Nothing) -> tuple[RuleView, ...]:
    """List the rules that who asks may know of: administrators all."""
    return tuple(_view(each) for each in access.visible(turn, turn.cluster.acl_rules.values()))


def delete(turn: Turn, params: NamedRule) -> RuleView:
    """Take a permission back."""
    rule = find.acl_rule(turn.cluster, params.rule_id)
    turn.drop(rule)
    turn.event("acl.deleted", f"acl:{rule.rule_id}", rule=rule.text)
    return _view(rule)


REQUESTS = (
    Request(
        name="acl.add",
        method="POST",
        path="/v1/acl",
        params=AddRule,
        answer=RuleView,
        who=Who.USER,
        summary="Add an ACL rule.",
        handler=add,
        needs=Need(Right.CREATE, "acl"),
    ),
    Request(
        name="acl.list",
        method="GET",
        path="/v1/acl",
        params=Nothing,
        answer=tuple[RuleView, ...],
        who=Who.USER,
        summary="List the ACL rules.",
        handler=rules,
    ),
    Request(
        name="acl.delete",
        method="DELETE",
        path="/v1/acl/{rule_id}",
        params=NamedRule,
        answer=RuleView,
        who=Who.USER,
        summary="Delete an ACL rule.",
        handler=delete,
        needs=Need(Right.ADMIN, "acl"),
    ),
)
