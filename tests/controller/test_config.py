"""The controller's configuration."""

import tomllib
from pathlib import Path

import msgspec
import pytest

from innkeeper_controller.config import Config, HttpConfig, LimitsConfig, load, parse, split_endpoint
from innkeeper_plugins.daemons.configuration import ConfigError
from innkeeper_plugins.vocabulary import Value


def test_no_file_is_needed(tmp_path: Path):
    assert load(tmp_path / "controller.toml", must_exist=False) == Config()
    assert Config().database_url == "sqlite:////var/lib/innkeeper-controller/controller.db"


def test_a_file_that_was_named_has_to_be_there(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"there is no .*controller\.toml"):
        load(tmp_path / "controller.toml")


def test_every_part_can_be_set(tmp_path: Path):
    (tmp_path / "c.toml").write_text(
        'state_dir = "/srv/inn"\nscheduler = "none"\n[http]\nlisten = "[::1]:80"\n[limits]\nconsoles = 3\n'
    )
    config = load(tmp_path / "c.toml")

    assert config == Config(
        state_dir=Path("/srv/inn"),
        scheduler="none",
        http=HttpConfig(listen="[::1]:80"),
        limits=LimitsConfig(consoles=3),
    )
    assert config.database_url == "sqlite:////srv/inn/controller.db"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("shceduler = 1", "unknown key shceduler, did you mean scheduler?"),
        ("[http]\nlissen = 1\n[nothing]", "unknown key http.lissen, did you mean http.listen?; unknown key nothing"),
        ("heartbeat_interval_s = 'x'", "Expected `float`, got `str` - at `$.heartbeat_interval_s`"),
        ("state_dir = 3", "expected a path as text - at `$.state_dir`"),
        ("scheduler = 'program'", "scheduler is 'program', but scheduling.program.argv names none"),
        (
            "[scheduling.program]\nargv = ['sched']\ntimeout_s = 0\n[scheduling.weights]\npacking = nan",
            (
                "scheduling.program.argv begins with 'sched'; it has to be an absolute path; "
                "scheduling.program.timeout_s is 0.0; it has to be more than 0, and at most 600; "
                "scheduling.weights.packing is nan; it has to be a number"
            ),
        ),
        (
            "[log]\nlevel = 'loud'\nformat = 'xml'",
            ("log.level is 'loud'; use one of debug, info, warning, error; log.format is 'xml'; use one of json, text"),
        ),
        (
            "[restricted]\nvm = ['usual', 'NIC/MAC', 'NIC MAC']",
            "restricted has 'NIC MAC', which is no attribute like NIC/MAC, CPU_COST or DISK/*_SEC",
        ),
        ("[http]\nlisten = 'localhost'", "http.listen is 'localhost', which is no endpoint like 127.0.0.1:2633"),
        (
            "[agents]\nadvertise = 'udp://a:1'\n[bulk]\nlisten = 'tcp://a:99999'",
            (
                "agents.advertise is 'udp://a:1', which is no endpoint like tcp://10.0.0.1:2634; "
                "bulk.listen is 'tcp://a:99999', which is no endpoint like tcp://10.0.0.1:2634"
            ),
        ),
        ("[limits]\nconsoles = 0", "limits.consoles is 0; it has to be more than 0"),
        (
            "[scheduling]\npending_timeout_s = -1\n[scheduling.order]\nhalf_life_s = 0\nfair_share_weight = nan",
            (
                "scheduling.order.half_life_s is 0.0; it has to be more than 0; "
                "scheduling.pending_timeout_s is -1.0; it has to be 0 or more; "
                "scheduling.order.fair_share_weight is nan; it has to be 0 or more"
            ),
        ),
        ("unknown_after_s = 1", "unknown_after_s is 1.0, shorter than heartbeat_interval_s"),
        (
            "[scheduling.ban]\nfirst_s = -1\nat_most_s = nan",
            (
                "scheduling.ban.first_s is -1.0; it has to be 0 (no bans) or more, and at most 315360000; "
                "scheduling.ban.at_most_s is nan; it has to be 0 (no bans) or more, and at most 315360000"
            ),
        ),
        ("[scheduling.ban]\nfirst_s = 7200", "scheduling.ban.first_s is 7200.0, longer than at_most_s"),
        (
            '[scheduling.balance]\ngoal = "evn"\nmax_at_once = 0\nminimum_gain = 2\nevery_s = 0\ncool_down_s = -1',
            (
                "scheduling.balance.goal is 'evn'; did you mean even?; "
                "scheduling.balance.max_at_once is 0; it has to be 1 or more; "
                "scheduling.balance.minimum_gain is 2.0; it has to be from 0 to 1; "
                "scheduling.balance.every_s is 0.0; it has to be 1 or more; "
                "scheduling.balance.cool_down_s is -1.0; it has to be 0 or more"
            ),
        ),
        ("a = ", "Invalid value (at end of document)"),
    ],
)
def test_mistakes_are_told_all_at_once(text: str, complaint: str):
    with pytest.raises(ConfigError) as error:
        parse(text)

    assert str(error.value) == complaint


def test_a_file_with_mistakes_is_named(tmp_path: Path):
    (tmp_path / "c.toml").write_text("x = 1")
    with pytest.raises(ConfigError, match=r"c\.toml: unknown key x"):
        load(tmp_path / "c.toml")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path):
    (tmp_path / "c.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match=r"c\.toml cannot be read"):
        load(tmp_path / "c.toml")


@pytest.mark.parametrize(
    ("agents", "bulk"),
    [("tcp://0.0.0.0:2634", "tcp://0.0.0.0:2636"), ("tcp://[::1]:7", "tcp://[::1]:9"), ("tcp://a:0", "tcp://a:0")],
)
def test_the_bulk_socket_is_beside_that_of_the_agents(agents: str, bulk: str):
    assert parse(f"[agents]\nlisten = '{agents}'").bulk_listen == bulk


def test_the_bulk_socket_can_be_elsewhere():
    assert parse("[bulk]\nlisten = 'tcp://10.0.0.1:77'").bulk_listen == "tcp://10.0.0.1:77"


@pytest.mark.parametrize("endpoint", ["", "tcp://", "tcp://a", "tcp://a:b", "tcp://:1", "tcp://a:1/x", "ipc://x:1"])
def test_what_is_no_endpoint_is_refused(endpoint: str):
    with pytest.raises(ValueError, match="is no endpoint"):
        split_endpoint(endpoint)


def names_of(kind: type[Value], where: str = "") -> set[str]:
    names = set()
    for field in msgspec.structs.fields(kind):
        below = isinstance(field.type, type) and issubclass(field.type, Value)
        names |= names_of(field.type, f"{where}{field.name}.") if below else {f"{where}{field.name}"}
    return names


def keys_of(content: dict, where: str = "") -> set[str]:
    keys = set()
    for key, value in content.items():
        # An empty table is one whose keys are the operator's own.
        keys |= keys_of(value, f"{where}{key}.") if isinstance(value, dict) and value else {f"{where}{key}"}
    return keys


def test_the_manual_names_every_setting_with_its_default():
    manual = (Path(__file__).parents[2] / "docs" / "operating.md").read_text()
    text = manual.partition("```toml\n")[2].partition("```")[0]

    assert parse(text) == Config()
    assert keys_of(tomllib.loads(text)) == names_of(Config)
