"""The manual of the agent says every setting, and what it says works."""

import configparser
import re
from pathlib import Path
from typing import get_args, get_type_hints

import msgspec

from innkeeper_hostagent.config import Config, DatastoreConfig, parse
from innkeeper_plugins.vocabulary import Value

ROOT = Path(__file__).parents[2]
MANUAL = (ROOT / "docs" / "operating-agent.md").read_text()
UNITS = ROOT / "contrib" / "systemd"


def settings(kind, where=""):
    hints = get_type_hints(kind)
    for name, key in zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True):
        below = [each for each in (hints[name], *get_args(hints[name])) if isinstance(each, type)]
        inner = [each for each in below if issubclass(each, Value)]
        yield from settings(inner[0], f"{where}{key}.") if inner else [f"{where}{key}"]


def test_every_setting_is_in_the_manual():
    missing = [setting for setting in settings(Config) if not re.search(rf"\b{setting.split('.')[-1]}\b", MANUAL)]

    assert missing == []


def test_the_file_in_the_manual_is_the_default_one():
    text = re.search(r"```toml\n(.*?)```", MANUAL, re.DOTALL)[1]

    config = parse(text)

    assert msgspec.structs.replace(config, drivers={}) == Config()
    assert config.datastores == {"default": DatastoreConfig(path=config.datastores["default"].path)}


def test_the_units_notify_are_watched_and_leave_guests_alone():
    units = {}
    for name in ("inn-agent", "inn-controller"):
        units[name] = configparser.RawConfigParser(strict=False, interpolation=None)
        units[name].optionxform = str
        units[name].read(UNITS / f"{name}.service")

    for unit in units.values():
        assert unit["Service"]["Type"] == "notify"
        assert int(unit["Service"]["WatchdogSec"]) > 0
        assert unit["Service"]["ProtectSystem"] == "strict"
    assert units["inn-agent"]["Service"]["KillMode"] == "process"
