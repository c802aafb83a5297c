"""What a row of the method table is: a method of OpenNebula, the requests it becomes, and how both sides' words map.

A row translates; rights are the request's, and nothing can be done here that the request table cannot do.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from innkeeper_controller.api.refusals import wrong_value
from innkeeper_controller.cluster import Cluster
from innkeeper_controller.opennebula.arguments import Argument
from innkeeper_controller.opennebula.faults import UNKNOWN_METHOD, FaultError
from innkeeper_controller.records import User
from innkeeper_controller.requests.catalogue import REQUESTS
from innkeeper_plugins.vocabulary import Value

if TYPE_CHECKING:
    from innkeeper_controller.opennebula.desk import Desk

#: A number, a text, or text that is escaped already, in one piece or several.
Answer = int | str | bytes | list[bytes]


@dataclass(frozen=True, slots=True)
class Call:
    """One call, its caller known and its arguments read."""

    desk: "Desk"
    user: User
    values: Mapping[str, Any]
    #: It is a client of 1.4.
    old: bool = False

    @property
    def cluster(self) -> Cluster:
        """All records."""
        return self.desk.controller.reactor.cluster

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - the table knows the type
        """Return an argument."""
        return self.values[name]

    async def ask(self, request: str, params: Mapping[str, object]) -> Any:  # noqa: ANN401 - the table knows the type
        """Carry a native request out.

        Raises:
            RefusalError: as the request is refused.
        """
        return await self.desk.controller.request(request, typed(request, params), user=self.user)


def typed(request: str, params: Mapping[str, object]) -> Value:
    """Return the parameters of a native request.

    Raises:
        RefusalError: ``bad_request``.
        FaultError: there is no such request here.
    """
    row = REQUESTS.get(request)
    if row is None:
        raise FaultError(UNKNOWN_METHOD, f"This controller has no request {request}.")
    try:
        return msgspec.convert(params, row.params)
    except msgspec.ValidationError as error:
        raise wrong_value(error) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One method."""

    name: str
    arguments: tuple[Argument, ...]
    #: Native requests that it may become; none for a constant.
    requests: tuple[str, ...]
    act: Callable[[Call], Awaitable[Answer]]
    #: ``int`` or ``string``.
    gives: str = "int"
    #: It makes something: most refusals get OpenNebula's number for that.
    makes_new: bool = False
    #: OpenNebula's words for what its first argument names: ``virtual machine``.
    about: str = ""
    #: What a client may wonder at.
    note: str = ""


Params = Callable[[Call], dict[str, object]]
AnswerOf = Callable[[Call, Any], Answer]


def first_argument(call: Call, _answer: object) -> Answer:
    """Answer with what was acted on."""
    number = next(iter(call.values.values()), 0)
    return number if isinstance(number, int) else 0


def change(
    name: str,
    arguments: tuple[Argument, ...],
    request: str,
    params: Params,
    **more: Any,  # noqa: ANN401 - further columns of the table
) -> Method:
    """Return a row that becomes one native request.

    Args:
        name: The method.
        arguments: Behind the session.
        request: The native request.
        params: Its parameters.
        more: ``answer`` picks the answer, by default the first argument; and columns of ``Method``.
    """
    answer: AnswerOf = more.pop("answer", first_argument)

    async def act(call: Call) -> Answer:
        return answer(call, await call.ask(request, params(call)))

    return Method(name=name, arguments=arguments, requests=(request,), act=act, **more)


def choice(
    name: str,
    arguments: tuple[Argument, ...],
    requests: tuple[str, ...],
    choose: Callable[[Call], tuple[str, dict[str, object]]],
    **more: Any,  # noqa: ANN401 - further columns of the table
) -> Method:
    """Return a row that becomes one of several native requests, with its parameters."""
    answer: AnswerOf = more.pop("answer", first_argument)

    async def act(call: Call) -> Answer:
        request, params = choose(call)
        return answer(call, await call.ask(request, params))

    return Method(name=name, arguments=arguments, requests=requests, act=act, **more)


def constant(name: str, arguments: tuple[Argument, ...], text: Callable[[Call], str], note: str = "") -> Method:
    """Return a row that always answers the same to everybody who has a session."""

    async def act(call: Call) -> Answer:
        return text(call)

    return Method(name=name, arguments=arguments, requests=(), act=act, gives="string", note=note)
