"""The transfer scripts that people read in a VM's directory."""

from tests.hostagent.orders_of_tests import a_vm, cancel, clone, delete, deploy, order, save

from innkeeper_hostagent import scripts


def names(directory):
    return sorted(path.name for path in directory.iterdir())


def test_a_script_reads_one_step_a_line_under_its_heading(tmp_path):
    path = scripts.write(tmp_path, order())

    assert path.name == "transfer.0.prolog"
    assert path.read_text() == (
        "# deploy of vm:7: operation o1, leg 0, request r1\n"
        "0 PROLOG qcow2 clone disk.0\n"
        "1 PROLOG qcow2 context context.iso\n"
        "2 BOOT simulated deploy start the guest\n"
    )


def test_scripts_are_numbered_by_operation(tmp_path):
    scripts.write(tmp_path, order())
    scripts.write(tmp_path, order((save(0),), operation_id="o2", kind="suspend"))
    scripts.write(tmp_path, order((cancel(0), delete(1)), operation_id="o3", kind="terminate"))

    assert names(tmp_path) == ["transfer.0.prolog", "transfer.1.save", "transfer.2.shutdown"]


def test_later_legs_of_an_operation_are_added_to_its_script_once(tmp_path):
    scripts.write(tmp_path, order((clone(0),)))
    for _ in range(2):
        scripts.write(tmp_path, order((deploy(1),), leg=1))

    assert names(tmp_path) == ["transfer.0.prolog"]
    assert (tmp_path / "transfer.0.prolog").read_text() == (
        "# deploy of vm:7: operation o1, leg 0, request r1\n"
        "0 PROLOG qcow2 clone disk.0\n"
        "# deploy of vm:7: operation o1, leg 1, request r1\n"
        "1 BOOT simulated deploy start the guest\n"
    )


def test_a_step_that_runs_again_after_a_crash_does_not_tell_its_leg_twice(tmp_path):
    first = scripts.write(tmp_path, order())
    before = first.read_text()

    assert scripts.write(tmp_path, order()) == first
    assert first.read_text() == before


def test_only_the_newest_scripts_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(scripts, "KEPT_SCRIPTS", 3)
    for number in range(5):
        scripts.write(tmp_path, order(operation_id=f"o{number}"))

    assert names(tmp_path) == ["transfer.2.prolog", "transfer.3.prolog", "transfer.4.prolog"]


def test_a_directory_with_nothing_but_scripts_is_removed_and_any_other_is_left(tmp_path):
    empty, used = tmp_path / "7", tmp_path / "8"
    for directory in (empty, used):
        directory.mkdir()
        scripts.write(directory, order(vm=a_vm()))
    (used / "disk.0").touch()

    scripts.tidy([empty, used, tmp_path / "9"])

    assert names(tmp_path) == ["8"]
    assert names(used) == ["disk.0", "transfer.0.prolog"]
