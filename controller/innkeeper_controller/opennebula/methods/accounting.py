"""Rows of accounting and showback: what VMs took, and what that costs."""

from typing import Any, Final

from innkeeper_controller import past_stays
from innkeeper_controller.opennebula.arguments import integer
from innkeeper_controller.opennebula.documents import accounting
from innkeeper_controller.opennebula.methods.table import Answer, Call, Method, constant, typed
from innkeeper_controller.opennebula.pools import ALL, MINE, check_flag, meant_by
from innkeeper_controller.requests.accounting import Months, Span

_FLAG: Final = integer("filter flag", ALL)


def _owner(call: Call) -> str:
    """Return whose VMs are meant, empty for all that the caller may see."""
    flag = call["filter flag"]
    check_flag(flag)
    if flag == MINE:
        return call.user.name
    return call.cluster.user_names.get(flag, f"[{flag}]") if flag >= 0 else ""


async def _ask(call: Call, request: str, params: dict[str, object]) -> Any:  # noqa: ANN401 - the table knows the type
    wanted = typed(request, params)
    assert isinstance(wanted, Span | Months), "the only ones that are asked here"
    answer = await past_stays.answer(call.desk.controller, request, wanted, call.user)
    # What memory told may not be durable yet.
    await call.desk.controller.pipeline.settled()
    return answer


async def _accounting(call: Call) -> Answer:
    params = {"owner": _owner(call), "from_s": float(call["start"]), "to_s": float(call["end"])}
    answer = await _ask(call, "vm.accounting", params)
    wanted = meant_by(call.cluster, call.user, call["filter flag"])
    return accounting.accounting(call.cluster, filter(wanted, answer.records))


async def _showback(call: Call) -> Answer:
    params = {
        "owner": _owner(call),
        "from_month": call["start month"],
        "from_year": call["start year"],
        "to_month": call["end month"],
        "to_year": call["end year"],
    }
    answer = await _ask(call, "vm.showback", params)
    wanted = meant_by(call.cluster, call.user, call["filter flag"])
    return accounting.showback(call.cluster, filter(wanted, answer.rows))


METHODS: Final = (
    Method(
        name="one.vmpool.accounting",
        arguments=(_FLAG, integer("start", -1), integer("end", -1)),
        requests=("vm.accounting",),
        act=_accounting,
        gives="string",
    ),
    Method(
        name="one.vmpool.showback",
        arguments=(
            _FLAG,
            integer("start month", -1),
            integer("start year", -1),
            integer("end month", -1),
            integer("end year", -1),
        ),
        requests=("vm.showback",),
        act=_showback,
        gives="string",
    ),
    constant(
        "one.vmpool.calculateshowback",
        (
            integer("start month", -1),
            integer("start year", -1),
            integer("end month", -1),
            integer("end year", -1),
        ),
        lambda _: "Showback is reckoned when it is asked for.",
        note="There is nothing to do beforehand: `one.vmpool.showback` reckons from the VMs' stays.",
    ),
)
