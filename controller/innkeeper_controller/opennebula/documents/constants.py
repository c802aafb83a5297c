"""Documents of what Innkeeper has one of, or none: zone, security group, hooks, virtual data centres, markets...

They let clients go on that look at them; nothing can be made of their kinds.
"""

from typing import Final

from innkeeper_controller.opennebula.documents.markup import element
from innkeeper_controller.opennebula.documents.ownership import permissions

ZONE_ID: Final = 0
SECURITY_GROUP_ID: Final = 0
#: Others may use it.
_SECURITY_GROUP_MODE: Final = 0o644

#: ``{pool: it, with nothing in it}``
EMPTY_POOLS: Final = {
    name: f"<{name}></{name}>"
    for name in (
        *("BACKUPJOB_POOL", "DOCUMENT_POOL", "HOOK_POOL", "MARKETPLACE_POOL", "MARKETPLACEAPP_POOL", "VDC_POOL"),
        *("VM_GROUP_POOL", "VNTEMPLATE_POOL", "VROUTER_POOL", "HOOKLOG"),
    )
}

#: What ``one.zone.raftstatus`` answers where there is one server: state 0, alone.
RAFT_STATUS: Final = (
    "<RAFT><SERVER_ID>-1</SERVER_ID><STATE>0</STATE><TERM>0</TERM><VOTEDFOR>-1</VOTEDFOR><COMMIT>0</COMMIT>"
    "<LOG_INDEX>0</LOG_INDEX><LOG_TERM>0</LOG_TERM><FEDLOG_INDEX>-1</FEDLOG_INDEX></RAFT>"
)

#: What clients read of the configuration: no secret, and no path of this machine.
CONFIGURATION: Final = (
    "<OPENNEBULA_CONFIGURATION><API_LIST_ORDER>DESC</API_LIST_ORDER>"
    "<AUTH_MAD_CONF><DRIVER_MANAGED_GROUPS>NO</DRIVER_MANAGED_GROUPS>"
    "<DRIVER_MANAGED_GROUP_ADMIN>NO</DRIVER_MANAGED_GROUP_ADMIN><MAX_TOKEN_TIME>-1</MAX_TOKEN_TIME><NAME>core</NAME>"
    "<PASSWORD_CHANGE>YES</PASSWORD_CHANGE></AUTH_MAD_CONF>"
    "<DEFAULT_AUTH>core</DEFAULT_AUTH><DEFAULT_DEVICE_PREFIX>vd</DEFAULT_DEVICE_PREFIX>"
    "<DEFAULT_IMAGE_TYPE>OS</DEFAULT_IMAGE_TYPE><DEFAULT_UMASK>177</DEFAULT_UMASK>"
    f"<FEDERATION><MODE>STANDALONE</MODE><SERVER_ID>-1</SERVER_ID><ZONE_ID>{ZONE_ID}</ZONE_ID></FEDERATION>"
    "<MAC_PREFIX>02:00</MAC_PREFIX></OPENNEBULA_CONFIGURATION>"
)

SECURITY_GROUP: Final = (
    f"<SECURITY_GROUP><ID>{SECURITY_GROUP_ID}</ID><UID>0</UID><GID>0</GID><UNAME>oneadmin</UNAME>"
    f"<GNAME>oneadmin</GNAME><NAME>default</NAME>{permissions(_SECURITY_GROUP_MODE)}<UPDATED_VMS></UPDATED_VMS>"
    "<OUTDATED_VMS></OUTDATED_VMS><UPDATING_VMS></UPDATING_VMS><ERROR_VMS></ERROR_VMS>"
    "<TEMPLATE><DESCRIPTION>Lets everything in and out.</DESCRIPTION>"
    "<RULE><PROTOCOL>ALL</PROTOCOL><RULE_TYPE>OUTBOUND</RULE_TYPE></RULE>"
    "<RULE><PROTOCOL>ALL</PROTOCOL><RULE_TYPE>INBOUND</RULE_TYPE></RULE></TEMPLATE></SECURITY_GROUP>"
)
SECURITY_GROUP_POOL: Final = f"<SECURITY_GROUP_POOL>{SECURITY_GROUP}</SECURITY_GROUP_POOL>"


def zone(endpoint: str) -> str:
    """Return the one zone, whose interface is at that URL."""
    return (
        f"<ZONE><ID>{ZONE_ID}</ID><NAME>OpenNebula</NAME><STATE>0</STATE>"
        f"<TEMPLATE>{element('ENDPOINT', endpoint)}</TEMPLATE><SERVER_POOL></SERVER_POOL></ZONE>"
    )


def zone_pool(endpoint: str) -> str:
    """Return the list of the one zone."""
    return f"<ZONE_POOL>{zone(endpoint)}</ZONE_POOL>"
