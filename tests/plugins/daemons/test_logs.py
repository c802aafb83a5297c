"""The daemon's log: JSON a line, with the ids that were bound, libraries and tools included."""

import json
import subprocess
import sys

import pytest

SCRIPT = """
import logging, sys
import structlog
from innkeeper_plugins import commands
from innkeeper_plugins.daemons import logs
from innkeeper_plugins.daemons.configuration import LogConfig

logs.configure(LogConfig(level=sys.argv[1], format=sys.argv[2]), quiet=["chatty"])
log = structlog.get_logger("innkeeper.agent")
with structlog.contextvars.bound_contextvars(operation_id="o7"):
    log.info("step_done", values=(1, 2), where=object)
    commands.run(["true", "x y"], timeout_s=10)
    logging.getLogger("library").warning("odd %s", "thing")
    logging.getLogger("chatty").info("GET /")
def breaks(token):
    raise ValueError(len(token))
try:
    breaks("very " + "secret")
except ValueError:
    log.error("driver_bug", exc_info=True)
log.debug("never")
"""


def logged(level="info", form="json"):
    done = subprocess.run([sys.executable, "-c", SCRIPT, level, form], capture_output=True, text=True, check=True)
    return done.stderr.splitlines()


def test_every_line_is_an_object_with_what_was_bound():
    lines = [json.loads(line) for line in logged()]

    step, command, library, bug = lines
    assert all(line.pop("timestamp").endswith("Z") for line in lines)
    assert step == {
        "event": "step_done",
        "level": "info",
        "operation_id": "o7",
        "values": [1, 2],
        "where": "<class 'object'>",
    }
    assert (command["event"], command["argv"], command["operation_id"]) == ("command", ["true", "x y"], "o7")
    assert (library["event"], library["level"], library["operation_id"]) == ("odd thing", "warning", "o7")
    assert "ValueError: 11" in bug["exception"]
    assert "operation_id" not in bug


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_traceback_tells_no_values(form):
    told = "".join(logged(form=form))

    assert "ValueError: 11" in told
    assert "very secret" not in told


def test_a_higher_level_says_less_and_text_is_for_people():
    quiet = logged("error", "text")

    assert "driver_bug" in quiet[0]
    assert "o7" not in "".join(quiet)
