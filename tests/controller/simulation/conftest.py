"""Finds the stand-in for the core, a plain module imported by name."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
