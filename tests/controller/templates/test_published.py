"""What is published of the vocabulary: the schema, the tables in the manual, the examples.

``INNKEEPER_REWRITE=1`` writes schema and tables anew instead of comparing them; look at the difference.
"""

import json
import os
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

from innkeeper_controller.templates import parse
from innkeeper_controller.templates.network import network_template
from innkeeper_controller.templates.reference import BEGIN, END, text_of_reference
from innkeeper_controller.templates.schema import text_of_schema, vm_schema
from innkeeper_controller.templates.vm import read_vm_template
from innkeeper_controller.templates.vocabulary import IMAGE, NETWORK, VM

ROOT = Path(__file__).parents[3]
SCHEMA = ROOT / "docs" / "schema" / "vm-template.schema.json"
MANUAL = ROOT / "docs" / "templates.md"
EXAMPLES = ROOT / "examples"
NETWORKS = {"lan.one", "vlan.one"}
VALIDATOR = jsonschema.Draft202012Validator(vm_schema())
REWRITE = bool(os.environ.get("INNKEEPER_REWRITE"))


def vm_examples():
    return sorted(
        path for path in EXAMPLES.iterdir() if path.suffix in {".one", ".yaml", ".xml"} and path.name not in NETWORKS
    )


def test_the_published_schema_is_the_one_of_the_vocabulary():
    if REWRITE:
        SCHEMA.write_text(text_of_schema())

    assert SCHEMA.read_text() == text_of_schema()


def test_the_published_schema_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(json.loads(text_of_schema()))


def test_the_tables_of_the_manual_are_those_of_the_vocabulary():
    text = MANUAL.read_text()
    begin, end = text.index(BEGIN), text.index(END) + len(END) + 1
    if REWRITE:
        MANUAL.write_text(text[:begin] + text_of_reference() + text[end:])
        return

    assert text[begin:end] == text_of_reference()


@pytest.mark.parametrize("path", vm_examples(), ids=lambda path: path.name)
def test_every_example_of_a_vm_is_right(path):
    assert read_vm_template(path.read_text()).memory_mib > 0


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_every_example_of_a_network_is_right(name):
    assert network_template(parse((EXAMPLES / name).read_text())).ranges


@pytest.mark.parametrize("path", [path for path in vm_examples() if path.suffix == ".yaml"], ids=lambda path: path.name)
def test_the_schema_accepts_the_examples_in_yaml(path):
    VALIDATOR.validate(YAML(typ="safe", pure=True).load(path.read_text()))


@pytest.mark.parametrize("path", [path for path in vm_examples() if path.suffix != ".one"], ids=lambda path: path.name)
def test_the_examples_in_yaml_and_xml_mean_the_same_as_in_text(path):
    other, plain = read_vm_template(path.read_text()), read_vm_template(path.with_suffix(".one").read_text())

    def content(template):
        return {
            name: [(each.image, each.size_mib, each.kind) for each in value] if name == "disks" else value
            for name in template.__struct_fields__
            if name not in {"nics", "remarks"} and (value := getattr(template, name)) is not None
        }

    assert content(other) == content(plain)


@pytest.mark.parametrize(
    "template",
    [
        {"memory": "much"},
        {"cpu": 1},
        {"memory": 1, "disk": {"imge": "x"}},
        {"memory": 1, "disk": [{"image": "x", "size": "2G"}]},
        {"memory": 1, "features": {"acpi": "perhaps"}},
        {"memory": 0},
    ],
)
def test_the_schema_refuses_what_the_parser_refuses(template):
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate(template)


def test_no_table_has_a_name_twice():
    for table in (VM, NETWORK, IMAGE):
        for fields in (table, *(field.keys or () for field in table)):
            names = [field.name for field in fields]

            assert sorted(set(names)) == sorted(names)


def test_the_template_in_the_readme_is_right():
    blocks = (ROOT / "README.md").read_text().split("```")[1::2]
    templates = [block for block in blocks if block.lstrip().startswith("NAME ")]

    assert [read_vm_template(template).name for template in templates] == ["debian"]
