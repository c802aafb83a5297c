"""How traces are read: CSV and SWF, plain and compressed, and what is said of lines that mean nothing."""

import gzip
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from innkeeper_controller.simulation import trace_files, traces
from innkeeper_controller.simulation.trace_files import read_trace
from innkeeper_controller.simulation.traces import TraceError, read_csv, read_swf

HEADER = "arrival_s,vcpus,memory_gib,lifetime_s\n"


def columns(trace):
    return {
        name: getattr(trace, name).tolist() for name in ("arrival_s", "cpu_cores", "memory_mib", "lifetime_s", "vms")
    }


def job(submit_s=0, run_s=60, processors=4, wanted=-1, memory_kib=-1):
    return f"1 {submit_s} 5 {run_s} {processors} -1 -1 {wanted} 600 {memory_kib} 1 1 1 -1 1 -1 -1 -1"


def test_a_csv_becomes_columns_in_the_order_of_arrival():
    trace = read_csv("t", [HEADER, "20,2,3.5,300\n", "\n", "10.5,0.5,0.75,\n"])

    assert columns(trace) == {
        "arrival_s": [10.5, 20.0],
        "cpu_cores": [0.5, 2.0],
        "memory_mib": [768, 3584],
        "lifetime_s": [math.inf, 300.0],
        "vms": [1, 1],
    }


def test_requests_of_one_moment_keep_the_order_of_their_lines():
    trace = read_csv("t", [HEADER, *(f"0,{cores},1,\n" for cores in range(1, 40))])

    assert trace.cpu_cores.tolist() == list(range(1, 40))


def test_columns_are_found_by_name_and_others_are_passed_over():
    trace = read_csv("t", ["vm,lifetime_s,memory_gib,vcpus,arrival_s\n", "x,7,1,2,3\n"])

    assert columns(trace) == {
        "arrival_s": [3.0],
        "cpu_cores": [2.0],
        "memory_mib": [1024],
        "lifetime_s": [7.0],
        "vms": [1],
    }


def test_a_fraction_of_a_mib_is_rounded_up():
    assert read_csv("t", [HEADER, "0,1,0.0001,1\n"]).memory_mib.tolist() == [1]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["a,b\n"], "t:1: the first line has no column arrival_s, vcpus, memory_gib, lifetime_s; expected are"),
        ([HEADER, "1,2,3,4\n", "1,two,3,4\n"], "t:3: vcpus is 'two'; a number is expected."),
        ([HEADER, "1,2,3,soon\n"], "t:2: lifetime_s is 'soon'; a number or nothing is expected."),
        ([HEADER, "1,2,,4\n"], "t:2: memory_gib is ''; a number is expected."),
        ([HEADER, "1,2\n"], "t:2: 2 fields, but the first line names 4 columns at least."),
        ([HEADER, "\n", "1,-2,3,4\n"], "t:3: cores of -2; expected is more than 0, 4096 at most."),
        ([HEADER, "1,2,1e9,4\n"], "t:2: memory of 1000000000; expected is more than 0 and 65536 GiB at most."),
        ([HEADER, "1,2,nan,4\n"], "t:2: memory of nan; expected is more than 0 and 65536 GiB at most."),
        ([HEADER, "inf,2,3,4\n"], "t:2: arrival of inf; expected is seconds, 1e+11 at most."),
        ([HEADER, "1,2,3,-4\n"], "t:2: lifetime of -4; expected is seconds, 0 at least."),
        ([HEADER], "t: nothing is asked for in it"),
        ([HEADER, f"{'x' * 200_000},2,3,4\n"], "t:2: this is no CSV: field larger than field limit"),
    ],
)
def test_a_bad_csv_is_told_with_its_line_and_what_was_expected(lines, said):
    with pytest.raises(TraceError) as told:
        read_csv("t", lines)

    assert str(told.value).startswith(said)


def test_a_job_of_several_processors_is_as_many_vms_of_one_core():
    trace = read_swf("t", ["; a remark\n", job(10, 60, processors=32, wanted=4), job(5, 30, 2, memory_kib=512 * 1024)])

    assert columns(trace) == {
        "arrival_s": [5.0, 10.0],
        "cpu_cores": [1.0, 1.0],
        "memory_mib": [512, 1024],
        "lifetime_s": [30.0, 60.0],
        "vms": [2, 4],
    }


def test_jobs_that_never_ran_are_left_out_and_counted():
    trace = read_swf("t", [job(run_s=-1), job(processors=-1), job(run_s=0)])

    assert (len(trace), trace.left_out) == (1, 2)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["1 2 3\n"], "t:1: 3 fields; a job of the Standard Workload Format has 18."),
        (["; x\n", job(run_s="ten"), job()], "t:2: 'ten' is no number."),
        ([job(submit_s="nan")], "t:1: arrival of nan; expected is seconds, 1e+11 at most."),
        ([job(processors=10**8)], "t:1: VMs of 100000000; expected is 20,000,000 at most in a trace."),
        ([job(run_s=-1)], "t: nothing is asked for in it"),
    ],
)
def test_a_bad_swf_is_told_with_its_line_and_what_was_expected(lines, said):
    with pytest.raises(TraceError) as told:
        read_swf("t", lines)

    assert str(told.value).startswith(said)


def test_a_trace_with_too_many_requests_is_refused(monkeypatch):
    monkeypatch.setattr(traces, "MAX_REQUESTS", 2)

    with pytest.raises(TraceError, match="t:4: more than 2 requests"):
        read_csv("t", [HEADER, *["0,1,1,\n"] * 5])


def test_the_first_requests_of_a_trace_are_a_trace():
    trace = read_csv("t", [HEADER, "1,1,1,\n", "2,2,2,2\n"]).first(1)

    assert columns(trace) == {
        "arrival_s": [1.0],
        "cpu_cores": [1.0],
        "memory_mib": [1024],
        "lifetime_s": [math.inf],
        "vms": [1],
    }


CSV_TEXT = f"{HEADER}0,1,1,60\n"
SWF_TEXT = f"; Computer: x\n{job()}\n"


@pytest.mark.parametrize(
    ("name", "text", "vms"),
    [
        ("vms.csv", CSV_TEXT, 1),
        ("jobs.swf", SWF_TEXT, 4),
        ("trace", CSV_TEXT, 1),
        ("trace", SWF_TEXT, 4),
        ("trace", f"\n{job()}\n", 4),
        ("wrong.swf", CSV_TEXT, 1),
        ("wrong.csv", SWF_TEXT, 4),
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_the_form_of_a_trace_is_told_by_what_is_in_it(tmp_path, name, text, vms, pack):
    file = tmp_path / name
    file.write_bytes(pack(text.encode()))

    assert read_trace(file).vms.tolist() == [vms]


def test_lines_may_be_split_anywhere_between_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(trace_files, "_BLOCK_BYTES", 7)
    file = tmp_path / "vms.csv"
    file.write_text(f"{HEADER}0,1,1,60\r\n1,2,2,61")

    assert read_trace(file).lifetime_s.tolist() == [60.0, 61.0]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x", b"hello\n", "x:1: this is no trace; expected is a CSV that begins with arrival_s"),
        ("x", b"", "x:1: this is no trace"),
        ("x.csv", b"hello\n", "x.csv:1: the first line has no column"),
        ("x.swf.gz", gzip.compress(b"hello\n"), "x.swf.gz:1: 1 field; a job of the Standard Workload Format has 18."),
        ("x.gz", gzip.compress(CSV_TEXT.encode())[:-9], "x.gz is damaged: "),
        ("x.gz", b"\x1f\x8bnonsense", "x.gz is damaged: "),
    ],
)
def test_a_file_that_is_no_trace_is_told_apart(tmp_path, name, content, said):
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(TraceError) as told:
        read_trace(file)

    assert str(told.value).startswith(said)


@pytest.mark.parametrize("limit", ["MAX_TRACE_BYTES", "MAX_LINE_BYTES"])
def test_a_file_that_unpacks_without_end_is_refused_early(tmp_path, monkeypatch, limit):
    monkeypatch.setattr(trace_files, limit, 1 << 20)
    monkeypatch.setattr(trace_files, "_BLOCK_BYTES", 1 << 16)
    file = tmp_path / "x.csv.gz"
    file.write_bytes(gzip.compress(b"0" * (4 << 20)))

    with pytest.raises(TraceError, match="too large"):
        read_trace(file)


NUMBER = st.sampled_from(["0", "1", "-1", "1e400", "nan", "", "x", "0.1", '"', "9" * 400, ";", "4096.5"])


@given(
    st.lists(st.lists(NUMBER, max_size=20), max_size=6), st.sampled_from([HEADER, "", "; x\n"]), st.sampled_from(", ")
)
def test_nonsense_is_refused_and_never_breaks_anything(rows, head, between):
    lines = [head, *(f"{between.join(row)}\n" for row in rows)]
    for read in (read_csv, read_swf):
        said = "t:"
        try:
            read("t", lines)
        except TraceError as error:
            said = str(error)

        assert said.startswith("t:")
