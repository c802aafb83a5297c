"""Tests that break an installation on purpose."""

import sys
from pathlib import Path

#: What they share is a plain module beside them, imported by name.
sys.path.insert(0, str(Path(__file__).parent))
