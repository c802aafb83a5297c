"""A user's document; no secret is in it, nor what a secret could be guessed from."""

from innkeeper_controller.cluster import Cluster
from innkeeper_controller.opennebula.documents.markup import attributes, element, escaped, ids
from innkeeper_controller.opennebula.documents.ownership import group_id
from innkeeper_controller.opennebula.documents.quotas import default_user_quotas, quotas
from innkeeper_controller.opennebula.numbers import GONE
from innkeeper_controller.records import LoginToken, User

#: Stands for a password, which nobody is shown, not even hashed.
_HIDDEN = "*"
#: Characters of a token's digest that tell it from others and help nobody to find it.
_DIGEST_SHOWN = 12


def user(cluster: Cluster, record: User) -> str:
    """Return all of a user."""
    return f"<USER>{_beginning(cluster, record)}{_quotas(cluster, record)}{default_user_quotas(cluster)}</USER>"


def user_in_pool(cluster: Cluster, record: User) -> str:
    """Return a user without quotas, which lists have beside it."""
    return f"<USER>{_beginning(cluster, record)}</USER>"


def user_quotas(cluster: Cluster, record: User) -> str:
    """Return the quotas that stand beside the user in lists."""
    return f"<QUOTAS><ID>{record.user_id}</ID>{_quotas(cluster, record)}</QUOTAS>"


def _quotas(cluster: Cluster, record: User) -> str:
    return quotas(cluster, record.limits, cluster.usages.of(("user", record.name)))


def _beginning(cluster: Cluster, record: User) -> str:
    groups = [group_id(cluster, name) for name in record.groups] or [GONE]
    return (
        f"<ID>{record.user_id}</ID><GID>{groups[0]}</GID>{ids('GROUPS', sorted(groups))}"
        f"<GNAME>{escaped(record.groups[0]) if record.groups else ''}</GNAME><NAME>{escaped(record.name)}</NAME>"
        f"<PASSWORD>{_HIDDEN if record.password else ''}</PASSWORD>{element('AUTH_DRIVER', record.auth_driver)}"
        f"<ENABLED>{int(record.enabled)}</ENABLED>{''.join(_token(cluster, each) for each in record.tokens)}"
        f"<TEMPLATE>{attributes(record.attributes)}</TEMPLATE>"
    )


def _token(cluster: Cluster, token: LoginToken) -> str:
    """Return one LOGIN_TOKEN; -1 stands for no end, and for all of the user's groups."""
    ends = GONE if token.expires_at_s is None else int(token.expires_at_s)
    group = group_id(cluster, token.group) if token.group else GONE
    return (
        f"<LOGIN_TOKEN>{element('TOKEN', token.token_sha256[:_DIGEST_SHOWN])}"
        f"<EXPIRATION_TIME>{ends}</EXPIRATION_TIME><EGID>{group}</EGID></LOGIN_TOKEN>"
    )
