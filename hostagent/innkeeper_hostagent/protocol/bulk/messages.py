"""The closed set of messages between one who fetches bytes and one who holds them; ``docs/protocol.md`` has the words.

A request names what it wants by digest, and a chunk's answer says itself which of its bytes are data:
any holder may serve any chunk, whatever another has served before it.
"""

from typing import Final, TypeAlias

from innkeeper_plugins.vocabulary import Digest, Value

#: Bytes of a chunk; the last one of a file may be shorter.
CHUNK_BYTES: Final = 1024 * 1024
#: No file may be longer: its manifest would be too much to keep.
MAX_FILE_BYTES: Final = 4 * 1024**4
#: Most digests in one part of a manifest.
PART_DIGESTS: Final = 4_096
#: No part of a multipart message is longer; the sockets enforce it.
MAX_PART_BYTES: Final = CHUNK_BYTES + 64 * 1024


class Describe(Value, tag="describe"):
    """Ask for a part, counted from 0, of a manifest; answered by ``Description``, ``Preparing`` or ``NotServed``."""

    digest: Digest
    part: int


class AskChunk(Value, tag="ask_chunk"):
    """Ask for a chunk, counted from 0; answered by ``Chunk`` or ``NotServed``."""

    digest: Digest
    index: int


class Description(Value, tag="description"):
    """A part of a manifest: which chunks have data, and the digest that the file has up to the end of each."""

    digest: Digest
    part: int
    parts: int
    size_bytes: int
    #: Consecutive chunks with data: pairs of the first one's index and their number.
    runs: tuple[tuple[int, int], ...]
    #: For each chunk in ``runs`` 32 bytes: SHA-256 of the file from its beginning to the chunk's end.
    prefixes: bytes


class Preparing(Value, tag="preparing"):
    """The manifest is being made; ask again."""

    digest: Digest
    done_bytes: int
    total_bytes: int


class Chunk(Value, tag="chunk"):
    """The data of a chunk, which follows as a part of its own; whatever the runs leave out is zeros."""

    digest: Digest
    index: int
    #: Where the data belongs, in order: pairs of an offset in the chunk and a length.
    runs: tuple[tuple[int, int], ...]


class NotServed(Value, tag="not_served"):
    """The request cannot be answered: ``not_admitted`` (ask again later), ``unknown`` or ``unreadable``."""

    digest: Digest
    code: str
    message: str


BulkRequest: TypeAlias = Describe | AskChunk
BulkAnswer: TypeAlias = Description | Preparing | Chunk | NotServed
