import guest
import pytest
from lab import Lab


@pytest.fixture(scope="session")
def cache():
    """Where what takes long to make is kept from run to run."""
    return guest.cache_dir().parent


@pytest.fixture
def lab(cache):
    with Lab(hosts=2, cache=cache) as lab:
        yield lab
