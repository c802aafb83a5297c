"""The agent's one file: every mistake told, nothing guessed."""

from pathlib import Path

import pytest

from innkeeper_hostagent.config import Config, DatastoreConfig, driver_section, load, parse
from innkeeper_plugins.daemons.configuration import ConfigError
from innkeeper_plugins.vocabulary import Capacity, DriverKind


def test_no_file_and_an_empty_one_are_the_defaults(tmp_path):
    assert load(tmp_path / "none.toml") == Config()
    assert parse("") == Config()


def test_every_part_is_read():
    config = parse(
        """
        state_dir = "/srv/agent"
        hypervisors = ["simulated"]
        poll_interval_s = 5
        [capacity]
        cpu_cores = 8
        memory_mib = 4096
        [datastores.fast]
        path = "/srv/fast"
        drivers = ["copy"]
        [drivers.simulated]
        deaf = true
        [import]
        dirs = ["/srv/import"]
        [facts]
        RACK = "r1"
        """
    )

    assert config.state_dir == Path("/srv/agent")
    assert config.datastores == {"fast": DatastoreConfig(path=Path("/srv/fast"), drivers=("copy",))}
    assert config.capacity == Capacity(cpu_cores=8.0, memory_mib=4096)
    assert config.imports.dirs == (Path("/srv/import"),)
    assert config.drivers == {"simulated": {"deaf": True}}
    assert config.facts == {"RACK": "r1"}
    assert config.poll_interval_s == 5


def test_all_unknown_keys_are_told_at_once_each_with_what_was_meant():
    text = """
        hypervisor = ["libvirt"]
        [datastores.fast]
        path = "/srv/fast"
        cache_limit = 5
        [capacity]
        cpus = 3
        [import]
        directories = []
    """

    with pytest.raises(ConfigError) as mistakes:
        parse(text)

    assert str(mistakes.value) == (
        "unknown key hypervisor, did you mean hypervisors?; "
        "unknown key datastores.fast.cache_limit, did you mean datastores.fast.cache_limit_mib?; "
        "unknown key capacity.cpus, did you mean capacity.cpu_cores?; "
        "unknown key import.directories"
    )


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("poll_interval_s = 'often'", "poll_interval_s"),
        ("[datastores.a]\npath = 'relative'", "not absolute"),
        ("[datastores.a]\npath = '/a'\ndrivers = []", "names no driver"),
        ("[limits]\nparallel_boots = 0", "at least 1"),
        ("[import]\nprivate_networks = ['10.0.0.300/8']", "10.0.0.300/8"),
        ("pci = ['10de:*', 'gpu']", "pci names 'gpu'"),
        ("[log]\nlevel = 'loud'", "loud"),
        ("[log]\nformat = 'jsn'", "did you mean json"),
        ("state_dir = 3", "expected a path as text"),
        ("probe_interval_s = 0", "more than 0"),
        ("datastores = {}", "no datastore"),
        ("a = 1 2", "line 1"),
    ],
)
def test_what_makes_no_sense_is_told_with_its_place(text, part):
    with pytest.raises(ConfigError, match=part):
        parse(text)


def test_a_mistake_is_told_with_the_file_that_it_is_in(tmp_path):
    path = tmp_path / "agent.toml"
    path.write_text("x = 1")

    with pytest.raises(ConfigError, match=str(path)):
        load(path)


def test_two_drivers_of_one_name_can_be_told_different_things():
    config = parse("[drivers.transfer.simulated]\nfiles = true\n[drivers.simulated]\ndeaf = true")

    assert driver_section(config, DriverKind.TRANSFER, "simulated") == {"files": True}
    assert driver_section(config, DriverKind.HYPERVISOR, "simulated") == {"deaf": True}
    assert driver_section(config, DriverKind.TRANSFER, "qcow2") == {}
