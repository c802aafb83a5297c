"""Templates of VMs, networks and images: three syntaxes, one vocabulary, every mistake told at once.

Nothing here reads a file, looks an image up or knows the cluster.
"""

from innkeeper_controller.templates.kept import attributes_of, merged
from innkeeper_controller.templates.syntax import Syntax, parse

__all__ = ["Syntax", "attributes_of", "merged", "parse"]
