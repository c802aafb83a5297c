"""Templates of VMs, networks and images: two syntaxes, one vocabulary, every mistake told at once.

Nothing here reads a file, looks an image up or knows the cluster.
"""

from innkeeper_controller.templates.syntax import Syntax, parse

__all__ = ["Syntax", "parse"]
