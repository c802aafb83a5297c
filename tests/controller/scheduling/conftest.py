"""Builders of hosts and demands as fixtures."""

import sys
from pathlib import Path

import pytest

#: The samples are plain modules, imported by name.
sys.path.insert(0, str(Path(__file__).parent))

from sample_hosts import make_demand, make_host

from innkeeper_controller.expressions import compile_rank, compile_requirement


@pytest.fixture
def host():
    return make_host


@pytest.fixture
def demand():
    return make_demand


@pytest.fixture
def requirement():
    return compile_requirement


@pytest.fixture
def rank():
    return compile_rank
