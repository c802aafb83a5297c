"""The reference of the API."""

from pathlib import Path

from innkeeper_controller.api.page import page

DOCS = Path(__file__).parents[3] / "docs"


def test_the_reference_is_made_from_the_tables():
    assert (DOCS / "api.md").read_text() == page(), "run: python -m innkeeper_controller.api.page > docs/api.md"
