"""Images that were deleted a moment ago, shown once more in the state DELETE.

OpenNebula deletes while its clients look on; Ansible's ``one_image`` asks for the image after its deletion and breaks
where it is gone already. Nothing else has to know of these: no list has them, and nothing can be done with them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from innkeeper_controller.records import Moment

#: How long somebody who has deleted an image may still look at it.
KEPT_S: Final = 5.0
MAX_KEPT: Final = 1000


@dataclass(slots=True)
class Farewells:
    """The last documents of images, for those who deleted them."""

    clock: Callable[[], Moment]
    #: ``{(user, image): (until when, document)}``, the oldest first.
    _documents: dict[tuple[str, int], tuple[Moment, str]] = field(default_factory=dict)

    def say(self, user: str, image_id: int, document: str) -> None:
        """Keep the document for a moment."""
        while len(self._documents) >= MAX_KEPT:
            del self._documents[next(iter(self._documents))]
        self._documents[user, image_id] = (self.clock() + KEPT_S, document)

    def find(self, user: str, image_id: int) -> str | None:
        """Return the document of an image that this user has just deleted; None for any other."""
        until_s, document = self._documents.get((user, image_id), (0.0, ""))
        if self.clock() < until_s:
            return document
        self._documents.pop((user, image_id), None)
        return None
