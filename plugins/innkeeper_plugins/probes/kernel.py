"""The operating system: name of the host, kernel and distribution."""

import platform
import socket
from pathlib import Path

OS_RELEASE = Path("/etc/os-release")


def parse(os_release: str) -> dict[str, str]:
    """Read the text of ``/etc/os-release``: ``{"ID": "debian", "VERSION_ID": "12", ...}``."""
    pairs = (line.split("=", 1) for line in os_release.splitlines() if "=" in line and not line.startswith("#"))
    return {name.strip(): value.strip().strip("\"'") for name, value in pairs}


def facts() -> dict[str, str | int | float]:
    """Return the facts of this machine's operating system."""
    release = parse(OS_RELEASE.read_text(encoding="utf-8")) if OS_RELEASE.exists() else {}
    return {
        "HOSTNAME": socket.gethostname(),
        "KERNEL": platform.release(),
        "OS": release.get("ID", ""),
        "OS_VERSION": release.get("VERSION_ID", ""),
    }
