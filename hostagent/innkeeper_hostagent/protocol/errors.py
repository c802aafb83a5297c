"""The errors of the protocol, by who must act; what a peer does wrong is counted and dropped, not raised to callers."""

from innkeeper_plugins.errors import InnkeeperError


class ProtocolError(InnkeeperError):
    """Base of all errors of this package."""


class BadMessageError(ProtocolError):
    """Bytes from a peer are no message of ours; the peer must act. Nothing of the message has been used."""


class BadFrameError(ProtocolError):
    """Bytes from a peer are no frame of ours; the peer must act. Nothing of the frame has been used."""


class SessionOverflowError(ProtocolError):
    """The peer takes nothing any more and the queue for it is full; the session has to be dropped.

    The message that did not fit has not been queued.
    """


class KeyFileError(ProtocolError):
    """A key file cannot be used; the operator must act. The file has not been changed."""


class JoinTokenError(ProtocolError):
    """What was given as a join token is none, or not a whole one; the operator must act."""


class JoinRefusedError(ProtocolError):
    """The host was not enrolled; the operator must act. Nothing has changed on this host."""

    def __init__(self, code: str, message: str) -> None:
        """Keep the code apart from the sentence.

        Args:
            code: As in ``Refused``, and ``unreachable`` where no answer came in time.
            message: One sentence that says what happened and what to do next.
        """
        super().__init__(message)
        self.code = code


class UnsuitableLibraryError(ProtocolError):
    """The ZeroMQ library of this machine must not be used; the operator must act."""


class EndpointError(ProtocolError):
    """The address to listen on or to dial cannot be used; the operator must act. Nothing listens or dials there."""
