"""What cannot be answered at all becomes an XML-RPC fault, with the numbers that OpenNebula's server gives them."""

from typing import Final

from innkeeper_plugins.errors import InnkeeperError

INTERNAL: Final = -500
MALFORMED: Final = -503
UNKNOWN_METHOD: Final = -506


class FaultError(InnkeeperError):
    """The call is none, or names no method; the client must act."""

    def __init__(self, code: int, message: str) -> None:
        """Say why."""
        super().__init__(message)
        self.code = code
