"""The bridges that guests can be plugged into."""

from pathlib import Path

INTERFACES = Path("/sys/class/net")


def names(root: Path = INTERFACES) -> tuple[str, ...]:
    """Return the names of this host's bridges, sorted; Linux bridges only."""
    return tuple(sorted(path.name for path in root.glob("*") if (path / "bridge").is_dir()))


def facts() -> dict[str, str | int | float]:
    """Return the bridges as one fact: names with spaces between them."""
    return {"BRIDGES": " ".join(names())}
