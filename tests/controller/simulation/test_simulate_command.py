"""``inn simulate`` as people and programs use it."""

import gzip
import io
import json
import re
import sys

import pytest

from innkeeper_controller.cli import main as main_module

TRACE = """arrival_s,vcpus,memory_gib,lifetime_s
1000,3,1,100
1010,2,1,50
1020,1,1,
1030,64,1,9
"""
#: What is measured in real time.
TIMED = ("wall_s", "placements_per_s")


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """No settings of whoever runs the tests, and no controller."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("INNKEEPER_ENDPOINT", "http://127.0.0.1:1")


@pytest.fixture
def trace(tmp_path):
    file = tmp_path / "vms.csv.gz"
    file.write_bytes(gzip.compress(TRACE.encode()))
    return file


@pytest.fixture
def simulate(capsys, trace):
    def go(*arguments, hosts="1x4c8g", file=trace):
        code = main_module.main(["simulate", "--hosts", hosts, "--trace", str(file), *map(str, arguments)])
        return code, *capsys.readouterr()

    return go


def test_programs_get_all_measures(simulate):
    code, out, err = simulate("-o", "json")
    answer = json.loads(out)

    assert (code, err) == (0, "")
    assert all(answer.pop(name) > 0 for name in TIMED)
    assert answer == {
        "trace": "vms.csv.gz",
        "hosts_spec": "1x4c8g",
        "policy": "packing",
        "left_out": 0,
        "arrived": 4,
        "placed": 3,
        "waiting": 0,
        "failed": 1,
        "failures": {"larger than any host": 1},
        "hosts": 1,
        "peak_hosts": 1,
        "fluid_bound_hosts": 1,
        "peak_over_bound": 1.0,
        "migrations": 0,
        "cpu_utilisation": {"mean": 0.883333, "peak": 1.0},
        "memory_utilisation": {"mean": 0.233333, "peak": 0.25},
        "waiting_s": {"mean": 30.0, "p50": 0.0, "p95": 90.0, "p99": 90.0, "max": 90.0},
        "fragmentation": answer["fragmentation"],
        "duration_s": 150.0,
    }
    assert answer["fragmentation"]["median"].keys() == {"cpu_cores", "memory_mib", "cpu", "memory"}


def test_people_get_a_table(simulate):
    code, out, err = simulate()
    shown = re.sub(r"[\d,]+/s, .* in all", "N/s", out)

    assert (code, err) == (0, "")
    assert shown.splitlines()[:8] == [
        "Trace                 vms.csv.gz, 2m 30s of virtual time",
        "Hosts                 1x4c8g (1), policy packing",
        "VMs                   3 of 4 placed, 1 failed, 0 still waiting",
        "  failed              1: larger than any host",
        "Peak of hosts in use  1",
        "  fluid bound         1; the peak is 1.0000 of it",
        "CPU in use            88.3% of all hosts on average, 100.0% at most",
        "Memory in use         23.3% of all hosts on average, 25.0% at most",
    ]
    assert shown.splitlines()[-1] == "Placements            N/s"


def test_two_runs_differ_in_nothing_but_how_long_they_took(simulate):
    answers = [json.loads(simulate("-o", "json")[1]) for _ in range(2)]
    for answer in answers:
        for name in TIMED:
            del answer[name]

    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--no-wait"], {"arrived": 4, "placed": 2, "failed": 2, "waiting": 0}),
        (["--until", "30s"], {"arrived": 4, "placed": 2, "failed": 1, "waiting": 1}),
        (["--until", "15s"], {"arrived": 2, "placed": 1, "failed": 0, "waiting": 1}),
        (["--limit", "1"], {"arrived": 1, "placed": 1, "failed": 0, "waiting": 0}),
        (["--policy", "striping"], {"policy": "striping", "placed": 3, "failed": 1, "waiting": 0}),
        (["--weight", "striping=1", "--weight", "image locality=0.5"], {"policy": "custom", "placed": 3}),
    ],
)
def test_options_say_how_a_run_goes(simulate, options, expected):
    answer = json.loads(simulate(*options, "-o", "json")[1])

    assert {name: answer[name] for name in expected} == expected


def test_plots_are_drawn_into_a_folder_that_is_made(simulate, tmp_path):
    code, _, err = simulate("--svg", tmp_path / "new" / "plots")
    drawn = sorted((tmp_path / "new" / "plots").iterdir())

    assert code == 0
    assert [file.name for file in drawn] == ["hosts.svg", "utilisation.svg", "waiting.svg"]
    assert all(file.read_text().startswith("<svg ") for file in drawn)
    assert err.startswith("Drawn: ")


def test_memory_of_jobs_that_say_none_is_as_was_said(simulate, tmp_path):
    jobs = tmp_path / "jobs.swf"
    jobs.write_text("; x\n1 0 0 60 2 -1 -1 2 60 -1 1 1 1 -1 1 -1 -1 -1\n2 0 0 -1 2 -1 -1 2 60 -1 1 1 1 -1 1 -1 -1 -1\n")
    code, out, err = simulate("--vm-memory", "4G", "-o", "json", file=jobs)
    answer = json.loads(out)

    assert code == 0
    assert (answer["placed"], answer["left_out"], answer["memory_utilisation"]["peak"]) == (2, 1, 1.0)
    assert err == "1 job that never ran is left out.\n"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"hosts": "64c128g"}, "'64c128g' is no host shape; expected is COUNTxCORESMEMORY such as 2000x64c128g"),
        ({"policy": "pakcing"}, "There is no policy 'pakcing'. Did you mean 'packing'?"),
        ({"policy": "zzz"}, "There is no policy 'zzz'. There are packing, "),
        ({"policy": "PACKING"}, "There is no policy 'PACKING'. Did you mean 'packing'?"),
        ({"policy": "custom"}, "The policy custom and --weight SCORE=N go together."),
        ({"weights": ["packing=1"]}, "The policy custom and --weight SCORE=N go together."),
        ({"policy": "custom", "weights": ["paking=1"]}, "There is no score 'paking'. Did you mean 'packing'?"),
        ({"policy": "custom", "weights": ["packing=much"]}, "'much' is no weight; a number is expected."),
        ({"policy": "custom", "weights": ["packing=inf"]}, "'inf' is no weight; a number is expected."),
        ({"content": b"hello"}, "vms.csv.gz:1: the first line has no column arrival_s"),
        ({"content": TRACE.encode() + b"5,x,1,1\n"}, "vms.csv.gz:6: vcpus is 'x'; a number is expected."),
    ],
)
def test_a_mistake_is_a_usage_error_that_says_what_to_do(simulate, trace, options, said):
    if "content" in options:
        trace.write_bytes(options["content"])
    weights = [f"--weight={weight}" for weight in options.get("weights", ())]
    policy = options.get("policy", "packing")
    code, out, err = simulate("--policy", policy, *weights, hosts=options.get("hosts", "1x4c8g"))

    assert (code, out) == (2, "")
    assert said in err


def test_a_folder_that_cannot_be_written_to_is_a_usage_error(simulate, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = simulate("--svg", tmp_path / "file" / "plots")

    assert code == 2
    assert "cannot be written to" in err


def test_a_terminal_shows_how_far_it_is_and_keeps_nothing_of_it(simulate, tmp_path, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    many = tmp_path / "many.csv"
    many.write_text("arrival_s,vcpus,memory_gib,lifetime_s\n" + "".join(f"{now},1,1,1\n" for now in range(2048)))
    screen = Terminal()
    monkeypatch.setattr("innkeeper_controller.cli.progress.REDRAW_INTERVAL_S", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", screen)
        code, _, _ = simulate(file=many)

    assert code == 0
    assert "[############............]  50% 1,024 of 2,048 requests" in screen.getvalue()
    assert screen.getvalue().endswith("\r\x1b[K")


@pytest.mark.parametrize(("rate", "hosts", "moved"), [(0, 3, 0), (1, 3, 0), (50, 2, 1)])
def test_a_small_vm_makes_way_for_a_large_one_where_vms_may_be_moved(simulate, tmp_path, rate, hosts, moved):
    """The third VM is left alone where the first was, and the last one needs nearly all of that host."""
    file = tmp_path / "hole.csv"
    rows = ("0,3,3,10", "1,2,1,", "2,1,1,", "3,1,1,", "20,3.5,1,")
    file.write_text("\n".join(("arrival_s,vcpus,memory_gib,lifetime_s", *rows, "")))

    answer = json.loads(simulate("--migrations-per-100", rate, "-o", "json", hosts="5x4c8g", file=file)[1])

    assert (answer["peak_hosts"], answer["migrations"]) == (hosts, moved)
