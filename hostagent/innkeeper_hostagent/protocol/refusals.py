"""The refusals that the protocol itself makes; those of joins and hosts are the controller's."""

from innkeeper_hostagent.protocol.messages import PROTOCOL_MAJOR, PROTOCOL_MINOR, Refused


def superseded() -> Refused:
    """Say that another agent with the same key has taken over."""
    return Refused(code="superseded", message="another agent with this host's key has connected; stop one of the two")


def unknown_key() -> Refused:
    """Say that the key belongs to no host, or no longer."""
    return Refused(code="unknown_key", message="this key belongs to no host; join with a token of `inn host add`")


def other_version(major: int) -> Refused:
    """Say which version is spoken here, to one that speaks ``major``."""
    ours = f"{PROTOCOL_MAJOR}.{PROTOCOL_MINOR}"
    return Refused(code="version", message=f"the agent speaks protocol {major}, the controller {ours}; upgrade one")
