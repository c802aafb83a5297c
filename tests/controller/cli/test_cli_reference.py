"""What is written from the code is up to date, and the command line knows every request."""

import re
from pathlib import Path

import pytest

from innkeeper_controller.cli import reference
from innkeeper_controller.cli.routes import ROUTES
from innkeeper_controller.requests.catalogue import REQUESTS
from innkeeper_controller.requests.ownership import NOUNS

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

    nouns = {name.partition(".")[0] for name in ROUTES}
    named = set(re.findall(rf'"((?:{"|".join(nouns)})\.\w+)"', code))
    alike = {f"{noun}.{verb}" for noun in NOUNS for verb in re.findall(r'f"\{noun\}\.(\w+)"', code)}
    # A datastore keeps its name: the request says so.
    assert set(ROUTES) - named - alike - {"user.update", "group.update", "datastore.rename"} == set()


def test_the_page_of_commands_has_every_command():
    page = (ROOT / "docs" / "cli.md").read_text()

    assert [line.removeprefix("### ") for line in page.splitlines() if line.startswith("### ")] == [
        " ".join(path) for path, _ in reference.verbs()
    ]
