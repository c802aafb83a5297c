"""Reads the query parameters of the endpoints that the request table cannot hold."""

from collections.abc import Collection

from starlette.requests import Request

from innkeeper_controller.api.refusals import bad_request, unknown_names


def check_names(request: Request, known: Collection[str]) -> None:
    """Refuse parameters that there are not.

    Raises:
        RefusalError: ``bad_request``.
    """
    names = [name for name in request.query_params if name not in known]
    if names:
        raise unknown_names(names, dict.fromkeys(known))


def text(request: Request, name: str) -> str:
    """Return a parameter; empty where it is not there."""
    value: str = request.query_params.get(name, "")
    if "\0" in value:
        raise bad_request(f"Parameter {name} has a NUL character", name)
    return value


def whole(request: Request, name: str, default: int, *, most: int) -> int:
    """Return a whole number from 0 to ``most``.

    Raises:
        RefusalError: ``bad_request``.
    """
    value = text(request, name)
    if not value:
        return default
    if not (value.isascii() and value.isdecimal()) or len(value) > len(str(most)) or int(value) > most:
        raise bad_request(f"Parameter {name} has to be a whole number from 0 to {most}, not {value!r}", name)
    return int(value)


def seconds(request: Request, name: str, default: float, *, most: float) -> float:
    """Return a number of seconds from 0 to ``most``; more is taken as ``most``.

    Raises:
        RefusalError: ``bad_request``.
    """
    value = text(request, name)
    try:
        number = float(value) if value else default
    except ValueError as error:
        raise bad_request(f"Parameter {name} has to be a number of seconds, not {value!r}", name) from error
    if not 0 <= number < float("inf"):
        raise bad_request(f"Parameter {name} has to be a number of seconds from 0, not {value!r}", name)
    return min(number, most)
