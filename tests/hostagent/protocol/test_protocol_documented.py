"""The specification in words has every message of the specification in code."""

import re
import typing
from pathlib import Path

import pytest

from innkeeper_hostagent.protocol import frames, messages, session
from innkeeper_hostagent.protocol.bulk import messages as bulk_messages
from innkeeper_plugins.steps import VERBS

TEXT = (Path(__file__).parents[3] / "docs" / "protocol.md").read_text()
STEP_ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TEXT.partition("### Steps")[2].partition("\n###")[0].splitlines()
    if line.startswith("| `")
]
ROWS = set(re.findall(r"^\| `(\w+)` \|", TEXT, flags=re.MULTILINE))


def tags_of(union):
    return {member.__struct_config__.tag for member in typing.get_args(union)}


@pytest.mark.parametrize(
    "union",
    [messages.AgentMessage, messages.ControllerMessage, bulk_messages.BulkRequest, bulk_messages.BulkAnswer],
    ids=["agent", "controller", "bulk request", "bulk answer"],
)
def test_every_message_has_its_row(union):
    assert tags_of(union) <= ROWS


@pytest.mark.parametrize("kind", VERBS, ids=lambda kind: kind.__name__)
def test_every_step_has_its_row_with_who_carries_it_out_and_whether_it_is_final(kind):
    rows = [cells for cells in STEP_ROWS if f"`{kind.__struct_config__.tag}`" in cells[0]]

    verb = VERBS[kind]
    carriers = {"agent": "agent", "transfer": "transfer driver", "hypervisor": "hypervisor driver"}
    assert [carriers[verb.family] in cells[1] for cells in rows] == [True]
    assert [verb.final and "final" not in " ".join(cells[2:]) for cells in rows] == [False]


def test_every_kind_of_frame_is_in_the_grammar():
    for kind in frames.Kind:
        assert re.search(rf"^{kind.name.lower()} +=  ?%x{kind.value}$", TEXT, flags=re.MULTILINE), kind


def test_the_numbers_are_those_of_the_code():
    limits = session.DEFAULT_LIMITS

    assert f"Version {messages.PROTOCOL_MAJOR}.{messages.PROTOCOL_MINOR}." in TEXT
    assert f"{limits.max_queued_messages:,} messages or {limits.max_queued_bytes >> 20} MiB" in TEXT
    assert (
        f"after {limits.resend_after_s:g} s, then after twice as long each time, up to {limits.max_resend_after_s:g} s"
        in TEXT
    )
