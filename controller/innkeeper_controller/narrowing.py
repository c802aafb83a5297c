"""What a login token for one group lets somebody in as; it knows no token, and decides no right."""

from innkeeper_controller.records import User


class NarrowedUser(User):
    """A user who came with a token for one group: in no other, even where that is the only one the user has."""


def narrowed(user: User, group: str) -> User:
    """Return the user as in that group alone; as they are where it is empty."""
    if not group:
        return user
    fields = {name: getattr(user, name) for name in user.__struct_fields__}
    return NarrowedUser(**fields | {"groups": (group,)})


def is_narrowed(user: User | None) -> bool:
    """Return whether somebody came with a token for one group."""
    return isinstance(user, NarrowedUser)
