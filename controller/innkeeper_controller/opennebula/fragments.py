"""Documents as bytes that are ready to be sent, one an object, drawn again only when what they show has changed.

Whether it has is told by identity: records are immutable, so the same object shows the same. Nothing is kept of what
is gone. Names that stand in the documents of others (of users, groups, images...) have one mark for all of them.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from operator import is_
from typing import Any, Final

from innkeeper_controller.cluster import Cluster
from innkeeper_controller.opennebula.documents.host import host
from innkeeper_controller.opennebula.documents.vm import vm, vm_in_pool

#: So many are drawn at once; then others have their turn.
_SLICE: Final = 50
#: Documents of what is gone that may lie about until they are swept out.
_DEAD_KEPT: Final = 1_000
#: Keys of one piece of a whole pool: 100 to 500 kB, which a socket takes at once.
_SEGMENT: Final = 256


def escaped_document(text: str) -> bytes:
    """Return a document as it stands inside a text of XML-RPC."""
    # A bare > may stand in text but behind ]], where no document has it; ten thousand VMs are a fifth shorter for it.
    return text.replace("&", "&amp;").replace("<", "&lt;").encode()


class Names:
    """A mark that changes when a name has changed that documents of other things may show."""

    def __init__(self, cluster: Cluster) -> None:
        """Begin with the names as they are."""
        #: ``{number: name}`` and ``{name: number}``.
        self._names: tuple[Mapping[Any, Any], ...] = (
            cluster.user_names,
            cluster.group_names,
            cluster.datastore_names,
            cluster.image_ids,
            cluster.network_ids,
            cluster.cluster_ids,
        )
        self._seen: list[dict[Any, Any]] = [dict(names) for names in self._names]
        self._mark = object()

    def mark(self) -> object:
        """Return the mark; a new name alone is in no document yet, so it leaves the mark as it is."""
        for index, (seen, names) in enumerate(zip(self._seen, self._names, strict=True)):
            if seen != names:
                if any(names.get(key) != value for key, value in seen.items()):
                    self._mark = object()
                self._seen[index] = dict(names)
        return self._mark


class Documents:
    """All documents of one kind."""

    def __init__(
        self,
        cluster: Cluster,
        kind: str,
        names: Names,
        draw: Callable[[Cluster, Any], str],
        sources: tuple[Mapping[Any, Any], ...],
        *,
        newest_first: bool,
        more: Callable[[Any], object] | None = None,
    ) -> None:
        """Have drawn nothing yet.

        Args:
            cluster: All records.
            kind: Word for the records.
            names: The mark of names.
            draw: Makes the document of a record.
            sources: ``{key: value}`` of everything that a document shows; the first one has the records.
            newest_first: Whether ``everything`` begins with the highest key.
            more: Gives a plain value that a document shows as well, by key.
        """
        self._cluster, self._kind, self._names, self._draw = cluster, kind, names, draw
        self._newest_first = newest_first
        self._records, self._sources, self._more = sources[0], sources, more
        #: ``{key: (what it was drawn from, the document)}``
        self._kept: dict[Any, tuple[tuple[object, ...], bytes]] = {}
        #: What ``everything`` saw last, and made of it.
        self._seen: tuple[dict[Any, Any], ...] = tuple({} for _ in sources)
        self._seen_more: dict[Any, object] = {}
        self._seen_mark: object = None
        self._keys: list[Any] = []
        self._keys_of = (-1, -1)
        #: ``{number: documents of the records whose keys it covers}``
        self._segments: dict[int, bytes] = {}

    def one(self, key: Any) -> bytes:  # noqa: ANN401 - as the records are keyed
        """Return the document of the record with that key, which has to be there."""
        return self._one(key, self._names.mark())

    def many(self, keys: Iterable[Any]) -> bytes:
        """Return several documents, one behind the other."""
        mark = self._names.mark()
        return b"".join([self._one(key, mark) for key in keys])

    def _one(self, key: Any, mark: object) -> bytes:  # noqa: ANN401 - as above
        shown = tuple([source.get(key) for source in self._sources])
        more = self._more(key) if self._more else None
        kept = self._kept.get(key)
        if kept is not None and kept[0][-1] == more and kept[0][-2] is mark and all(map(is_, kept[0], shown)):
            return kept[1]
        document = escaped_document(self._draw(self._cluster, self._records[key]))
        if len(self._kept) > len(self._records) + _DEAD_KEPT:
            self._kept = {known: kept for known, kept in self._kept.items() if known in self._records}
        self._kept[key] = ((*shown, mark, more), document)
        return document

    def everything(self) -> list[bytes]:
        """Return the documents of all records in the order of lists, in pieces.

        A piece holds the documents of consecutive keys and is joined again only when one of them has changed, so one
        VM's change does not copy all the others.
        """
        try:
            self._bring_up()
        except BaseException:
            # What has changed is known no more: the next one looks at all of it again.
            for seen in self._seen:
                seen.clear()
            raise
        return [self._segments[segment] for segment in sorted(self._segments, reverse=self._newest_first)]

    def _bring_up(self) -> None:
        mark = self._names.mark()
        changed = self._changed()
        if mark is not self._seen_mark:
            self._seen_mark = mark
            changed = set(self._records)
        for key in changed - self._records.keys():
            self._kept.pop(key, None)
        for segment in {key // _SEGMENT for key in changed}:
            self._join(segment, mark)

    def _join(self, segment: int, mark: object) -> None:
        keys = range(segment * _SEGMENT, (segment + 1) * _SEGMENT)
        ordered = reversed(keys) if self._newest_first else keys
        parts = [self._one(key, mark) for key in ordered if key in self._records]
        if parts:
            self._segments[segment] = b"".join(parts)
        else:
            self._segments.pop(segment, None)

    def _changed(self) -> set[Any]:
        """Return the keys of which something is not what it was, and of what is gone; notes what it is now."""
        changed: set[Any] = set()
        for source, seen in zip(self._sources, self._seen, strict=True):
            if seen == source:
                continue
            changed.update([key for key, value in source.items() if seen.get(key) is not value])
            changed.update(seen.keys() - source.keys())
            seen.clear()
            seen.update(source)
        if self._more:
            now = {key: self._more(key) for key in self._records}
            changed.update([key for key, value in now.items() if self._seen_more.get(key) != value])
            self._seen_more = now
        return changed

    def keys(self) -> list[Any]:
        """Return the keys of all records in the order of lists; not to be written to."""
        # Numbers are never given twice, so these two tell whether the records are the same ones.
        now = (len(self._records), self._cluster.last_ids.get(self._kind, -1))
        if now != self._keys_of:
            self._keys_of, self._keys = now, sorted(self._records, reverse=self._newest_first)
        return self._keys

    async def warm(self) -> None:
        """Draw what was never drawn, a slice at a time, so that a large pool stops nobody else."""
        if len(self._records) - len(self._kept) <= _SLICE:
            return
        missing = [key for key in self._records if key not in self._kept]
        for start in range(0, len(missing), _SLICE):
            mark = self._names.mark()
            for key in missing[start : start + _SLICE]:
                if key in self._records:
                    self._one(key, mark)
            await asyncio.sleep(0)


class Fragments:
    """The kinds of documents that are many and asked for often."""

    def __init__(self, cluster: Cluster, *, newest_first: bool) -> None:
        """Have drawn nothing yet."""
        names = Names(cluster)
        of_vms = (cluster.vms, cluster.history_of, cluster.observed, cluster.waits)
        self.vms = Documents(cluster, "vm", names, vm, of_vms, newest_first=newest_first)
        self.vms_in_pool = Documents(cluster, "vm", names, vm_in_pool, of_vms, newest_first=newest_first)
        self.hosts = Documents(
            cluster,
            "host",
            names,
            host,
            (cluster.hosts, cluster.used, cluster.load),
            newest_first=newest_first,
            more=lambda host_id: len(cluster.vms_on.get(host_id, ())),
        )
