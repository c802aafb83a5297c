"""Refusals as OpenNebula's clients know them: a number that they make their exceptions of, and a sentence."""

from typing import Final

from innkeeper_controller.turn import RefusalError

AUTHENTICATION: Final = 0x100
AUTHORIZATION: Final = 0x200
NO_EXISTS: Final = 0x400
ACTION: Final = 0x800
RPC_API: Final = 0x1000
INTERNAL: Final = 0x2000
ALLOCATE: Final = 0x4000
LOCKED: Final = 0x8000

#: ``{our code: OpenNebula's}`` for everything but what makes a new thing.
CODES: Final = {
    "unauthenticated": AUTHENTICATION,
    "forbidden": AUTHORIZATION,
    "not_found": NO_EXISTS,
    "wrong_state": ACTION,
    "busy": ACTION,
    "in_use": ACTION,
    "stale": ACTION,
    "unreachable": ACTION,
    "no_capacity": ACTION,
    "no_address": ACTION,
    "over_quota": ACTION,
    "name_taken": ACTION,
    "bad_template": ACTION,
    "bad_request": RPC_API,
    "too_large": RPC_API,
    "too_many": INTERNAL,
    "locked": LOCKED,
    "internal": INTERNAL,
    "unavailable": INTERNAL,
}
#: The same for what makes one: OpenNebula tells that it could not be made, whatever the reason.
_NEW: Final = {
    **CODES,
    **dict.fromkeys(("bad_template", "name_taken", "no_address", "over_quota", "too_many", "too_large"), ALLOCATE),
}

#: ``{OpenNebula's word for a thing: ours}`` where they differ.
_OUR_NOUNS: Final = {"virtual machine": "VM", "virtual network": "network"}

#: As OpenNebula says it, whatever was wrong: who asks learns nothing of users or passwords.
NOT_AUTHENTICATED: Final = "User couldn't be authenticated, aborting call."


def code_of(refusal: RefusalError, *, makes_new: bool) -> int:
    """Return OpenNebula's number for a refusal."""
    return (_NEW if makes_new else CODES)[refusal.code]


def sentence_of(refusal: RefusalError, method: str, about: str) -> str:
    """Return the message, in OpenNebula's shape; ``about`` is ``virtual machine [5]``, empty for nothing."""
    if refusal.code == "unauthenticated":
        return f"[{method}] {NOT_AUTHENTICATED}"
    if refusal.code == "not_found" and _is_missing(about, str(refusal)):
        return f"[{method}] Error getting {about}. {refusal}"
    return f"[{method}] {refusal}"


def _is_missing(about: str, sentence: str) -> bool:
    """Return whether it is the thing itself that is not there, rather than a user or a range that the call names."""
    what, _, number = about.rpartition(" ")
    noun = _OUR_NOUNS.get(what, what)
    return bool(about) and sentence.startswith(f"There is no {noun} {number.strip('[]')}.")
