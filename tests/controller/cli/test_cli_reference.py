"""What is written from the code is up to date, and the command line knows every request."""

import re
from pathlib import Path

import pytest

from innkeeper_controller.cli import reference
from innkeeper_controller.cli.routes import ROUTES
from innkeeper_controller.requests.catalogue import REQUESTS

ROOT = Path(__file__).parents[3]
CLI = ROOT / "controller" / "innkeeper_controller" / "cli"
MADE = reference.made_files(ROOT)


def test_the_clients_routes_are_those_of_the_request_table():
    assert {name: (request.method, request.path) for name, request in REQUESTS.items()} == ROUTES


@pytest.mark.parametrize("file", MADE, ids=lambda file: file.name)
def test_a_made_file_is_up_to_date(file):
    assert file.read_text() == MADE[file], "run: python -m innkeeper_controller.cli.reference"


def test_every_request_has_its_command():
    code = "".join(path.read_text() for path in CLI.rglob("*.py") if path.name != "routes.py")

    assert set(re.findall(r'"((?:system|host|datastore|image|network|vm|operation)\.\w+)"', code)) >= set(ROUTES)


def test_the_page_of_commands_has_every_command():
    page = (ROOT / "docs" / "cli.md").read_text()

    assert [line.removeprefix("### ") for line in page.splitlines() if line.startswith("### ")] == [
        " ".join(path) for path, _ in reference.verbs()
    ]
