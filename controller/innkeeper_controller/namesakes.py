"""Tells a user's own past from that of somebody who had the same name before; it shows nothing itself."""

from innkeeper_controller.records import Moment, User


def is_of_another(user: User | None, owner: str, at_s: Moment) -> bool:
    """Return whether something that belongs to the user by name is from before the user was made.

    Args:
        user: Who wants to see it; None for the controller itself.
        owner: Whose it says it is.
        at_s: When it began, seconds since the epoch.
    """
    return user is not None and not user.is_admin and owner == user.name and at_s < user.created_at_s
