"""The runner of the benchmarks; the benchmarks themselves are not tests."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import run

GOOD = """
def rows():
    yield {"name": "submissions", "value": 1834.2, "unit": "1/s", "bound": ">= 1500", "holds": True}
    yield {"name": "ratio", "value": 1.25, "unit": "x", "bound": "<= 1.2", "holds": False}
    yield {"name": "fsync", "value": 0.00412, "unit": "s", "bound": None, "holds": None}
"""
TABLE = """\
               value unit  bound
-------------------------------------------------
submissions    1,834 1/s   >= 1500  holds
ratio           1.25 x     <= 1.2   DOES NOT HOLD
fsync        0.00412 s

!!! 1 of 3 bounds do NOT hold: ratio
"""


@pytest.fixture
def benches(tmp_path, monkeypatch):
    """Return a directory of benchmarks with a runner of its own."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    runner = tmp_path / "a" / "b" / "run.py"
    runner.write_text(Path(run.__file__).read_text())
    monkeypatch.setattr(run, "__file__", str(runner))
    monkeypatch.setattr(run, "HERE", runner.parent)
    monkeypatch.setattr(run, "REPORT", tmp_path / "build" / "bench.json")
    return runner.parent


def test_the_table_and_the_report_say_which_bounds_hold(benches, capsys):
    (benches / "bench_good.py").write_text(GOOD)

    assert run.run(run.found()) == 0
    assert capsys.readouterr().out == TABLE
    assert json.loads(run.REPORT.read_text())[1] == {
        "name": "ratio",
        "value": 1.25,
        "unit": "x",
        "bound": "<= 1.2",
        "holds": False,
    }


def test_a_benchmark_that_breaks_fails_the_run_but_not_the_others(benches, capfd):
    (benches / "bench_good.py").write_text(GOOD)
    (benches / "bench_bad.py").write_text("def rows():\n    return [{'name': 'only'}]\n")

    assert run.run(run.found()) == 1
    assert len(json.loads(run.REPORT.read_text())) == 3
    assert "!!! broken: bad" in capfd.readouterr().out
