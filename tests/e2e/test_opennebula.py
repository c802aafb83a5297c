"""Real guests under OpenNebula's own client."""

import json
import sys
from pathlib import Path

import pytest
from guest import KERNEL_CMDLINE

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

ONE_DAY = Path(__file__).with_name("one_day.py")


def test_a_day_of_work_by_pyone_with_a_real_guest(cluster):
    argv = [sys.executable, str(ONE_DAY), "http://127.0.0.1:2633/RPC2", "/srv/controller/one_auth", KERNEL_CMDLINE]
    seen = json.loads(cluster.lab.switch.run(argv, timeout_s=500))
    other = cluster.other(cluster.host(seen["host"])).name

    assert seen["memory"] == "128"
    assert seen["stays"][:2] == [seen["host"], other]
    assert seen["accounted"] == [seen["vm_id"]] * len(seen["stays"])
    assert cluster.files(seen["vm_id"]) == []
