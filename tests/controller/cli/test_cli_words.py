"""Sizes, ages, ranges, tables, YAML: what people and programs read."""

import json
import random

import pytest
from ruamel.yaml import YAML

from innkeeper_controller.cli import words
from innkeeper_controller.cli.output import Column, fields, printable, table, to_yaml


@pytest.mark.parametrize(
    ("count_bytes", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1536, "1.5 KiB"), (300 << 20, "300 MiB"), (5 << 50, "5120 TiB")],
)
def test_sizes_are_told_in_the_unit_that_fits(count_bytes, text):
    assert words.size(count_bytes) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0434, "43 ms"),
        (3.21, "3.2 s"),
        (9.99, "10.0 s"),
        (42, "42 s"),
        (250, "4m 10s"),
        (7200, "2h"),
        (90061, "1d 1h"),
    ],
)
def test_durations_are_told_in_their_two_largest_units(seconds, text):
    assert words.span(seconds) == text


@pytest.mark.parametrize(
    ("ago_s", "text"), [(-5, "0s"), (12, "12s"), (119, "119s"), (120, "2m"), (7200, "2h"), (172_800, "2d")]
)
def test_ages_fit_into_a_column(ago_s, text):
    assert words.age(1e9, 1e9 + ago_s) == text


def test_what_never_was_has_no_age():
    assert (words.age(None, 5.0), words.ago(0.0, 5.0), words.moment(None)) == ("-", "never", "-")


@pytest.mark.parametrize(
    ("text", "count_bytes"),
    [("4096", 4096), ("512M", 512 << 20), ("1.5G", 3 << 29), ("2 GiB", 2 << 30), ("7kb", 7 << 10), ("9b", 9)],
)
def test_sizes_are_read_in_powers_of_1024(text, count_bytes):
    assert words.parse_size(text) == count_bytes


@pytest.mark.parametrize("text", ["", "-1", "1X", "M", "1.G"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ValueError, match="is not a size"):
        words.parse_size(text)


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("1.5m", 90), ("2h", 7200), ("250ms", 0.25)])
def test_durations_are_read_with_or_without_a_unit(text, seconds):
    assert words.parse_span(text) == seconds


def test_ranges_are_written_out_and_nothing_comes_twice():
    assert words.expand(["3", "7", "10..12", "11", "web"]) == ["3", "7", "10", "11", "12", "web"]


@pytest.mark.parametrize("text", ["5..3", "0..100000"])
def test_a_range_backwards_or_without_end_is_refused(text):
    with pytest.raises(ValueError, match="is not a range"):
        words.expand([text])


def test_tables_are_aligned_and_empty_cells_are_dashes():
    columns = (
        Column("ID", lambda row: row[0], right=True),
        Column("NAME", lambda row: row[1]),
        Column("UP", lambda row: row[2]),
        Column("MORE", lambda row: row[2], wide=True),
    )

    assert table([(7, "web", True), (10, "", ["a", "b"])], columns) == "ID  NAME  UP\n 7  web   yes\n10  -     a, b"
    assert table([], columns, wide=True) == "ID  NAME  UP  MORE"


def test_fields_align_values_of_several_lines_and_leave_none_out():
    assert fields([("A", 1), ("Long", "x\ny"), ("No", None)]) == "A     1\nLong  x\n      y"


def test_what_strangers_wrote_cannot_command_the_terminal():
    assert printable("a\x1b[2Jb\tc\n\x07") == "a\\x1b[2Jb\tc\n\\x07"
    assert table([{}], (Column("X", lambda _: "\x1b]0;pwned\x07"),)) == "X\n\\x1b]0;pwned\\x07"


YAML_SAMPLES = [
    {"mac": "52:54:00:12:34:56", "no": "no", "n": None, "t": True, "s": "12", "f": 1.5, "empty": "", "l": [], "d": {}},
    [[1, [2, {"a": ["x y", "- z"]}]], {"k": {"m": [{"p": "multi\nline"}, {}]}}],
    {"weird: key": "# no comment", "tab": "\t", "quote": "'\"", "unicode": "Grüße", "sexagesimal": "190:20:30"},
    "plain words here",
    [],
]


@pytest.mark.parametrize("value", YAML_SAMPLES)
@pytest.mark.parametrize("version", ["1.1", "1.2"])
def test_yaml_says_the_same_to_readers_of_both_versions(value, version):
    reader = YAML(typ="safe", pure=True)
    reader.version = version

    assert reader.load(to_yaml(value)) == value


def test_yaml_of_anything_that_json_can_say_is_read_back():
    reader = YAML(typ="safe", pure=True)
    chance = random.Random(7)

    def anything(depth):
        kind = chance.randrange(6 if depth else 4)
        if kind == 4:
            return [anything(depth - 1) for _ in range(chance.randrange(4))]
        if kind == 5:
            return {
                chance.choice(["a", "b c", "1", "yes", "~"]): anything(depth - 1) for _ in range(chance.randrange(4))
            }
        return [chance.randrange(99), chance.choice(["on", "", "a: b", "x#y", "-"]), None, chance.random() < 0.5][kind]

    for _ in range(200):
        value = json.loads(json.dumps(anything(4)))
        assert reader.load(to_yaml(value)) == value
