"""What a host has too little of, in words with numbers; nothing is decided here."""

from innkeeper_plugins.vocabulary import Value


class Shortage(Value):
    """Why a host's nodes or devices cannot give a VM what it asks for."""

    #: What is needed and what there is, with the numbers; no capital, no full stop.
    message: str
    #: How far off it is: 0 almost fits; 1 for what is either there or not.
    shortfall: float = 1.0


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return ``1 core`` or ``2 cores``."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"
