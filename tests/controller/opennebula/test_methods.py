import re
from pathlib import Path

import msgspec
import pytest

from innkeeper_controller.opennebula import page
from innkeeper_controller.opennebula.legacy import METHODS_OF_1_4
from innkeeper_controller.opennebula.methods import METHODS
from innkeeper_controller.opennebula.methods.terms import number_in
from innkeeper_controller.opennebula.methods.vms import ACTIONS, RECOVERIES
from innkeeper_controller.requests.catalogue import REQUESTS
from innkeeper_controller.turn import RefusalError

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_every_row_becomes_requests_that_there_are(method) -> None:
    assert [name for name in method.requests if name not in REQUESTS] == []


@pytest.mark.parametrize(("request_", "params"), ACTIONS.values(), ids=ACTIONS)
def test_every_action_has_parameters_that_its_request_takes(request_: str, params: dict[str, object]) -> None:
    row = REQUESTS[request_]

    assert msgspec.structs.asdict(msgspec.convert({"vm_id": 1, **params}, row.params)).items() >= params.items()
    assert set(params) <= set(row.params.__struct_fields__)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_what_may_be_left_out_comes_last(method) -> None:
    optional = [each.default is not None and "Required" not in type(each.default).__name__ for each in method.arguments]

    assert optional == sorted(optional)


def test_the_methods_of_1_4_are_all_there() -> None:
    assert METHODS_OF_1_4 <= METHODS.keys()
    assert len(METHODS_OF_1_4) == 19
    assert set(RECOVERIES) == set(range(6))


def test_the_page_is_the_one_that_the_table_makes() -> None:
    assert (ROOT / page.PATH).read_text() == page.page(), "run python -m innkeeper_controller.opennebula.page"


def test_the_page_names_every_method_once() -> None:
    assert re.findall(r"^\| `(one\.[a-z_.]+)` \|", page.page(), re.MULTILINE) == list(METHODS)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e999", "x"])
def test_what_is_no_whole_number_is_refused(value: str) -> None:
    with pytest.raises(RefusalError, match="number"):
        number_in({"SIZE": value}, "SIZE")
