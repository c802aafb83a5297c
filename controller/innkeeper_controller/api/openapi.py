"""The OpenAPI document, made from the request table and the endpoints beside it; holds no knowledge of its own."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from innkeeper_controller.api.endpoints import Endpoint
from innkeeper_controller.requests.table import Nothing, Request, Who
from innkeeper_controller.turn import REFUSALS, Mistake
from innkeeper_plugins.vocabulary import Value

Json = dict[str, Any]

_REF: Final = "#/components/schemas/{name}"
_JSON: Final = "application/json"
_IN_PATH: Final = re.compile(r"\{(\w+)\}")


class Refusal(Value):
    """Why a request was refused; nothing has changed."""

    #: Stable code.
    code: str
    #: One sentence that says what is wrong and what to do next.
    message: str
    mistakes: tuple[Mistake, ...] = ()


class Refused(Value):
    """The body of every answer that is an error."""

    error: Refusal


def document(requests: Iterable[Request], endpoints: Iterable[Endpoint], *, version: str) -> Json:
    """Return the document as plain values."""
    table = list(requests)
    kinds = [kind for request in table for kind in (request.params, request.answer)]
    schemas, components = msgspec.json.schema_components([*kinds, Refused], ref_template=_REF)
    paths: dict[str, Json] = {}
    for index, request in enumerate(table):
        params, answer = schemas[2 * index], schemas[2 * index + 1]
        described = _request(request, _resolved(params, components), params, answer)
        paths.setdefault(request.path, {})[request.method.lower()] = described
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _endpoint(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Innkeeper",
            "version": version,
            "description": "Virtual machines on a fleet of hosts. Refusals have stable codes: "
            + ", ".join(f"`{code}` ({status})" for code, status in REFUSALS.items()),
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "responses": {"Refused": {"description": "Refused.", "content": {_JSON: {"schema": schemas[-1]}}}},
        },
    }


def _resolved(schema: Json, components: Mapping[str, Json]) -> Json:
    return components[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def _request(request: Request, params: Json, ref: Json, answer: Json) -> Json:
    in_path = _IN_PATH.findall(request.path)
    properties: Json = params.get("properties", {})
    required = params.get("required", ())
    described = _common(request.name, request.summary, request.who)
    described["parameters"] = [_parameter(name, "path", properties[name], required=True) for name in in_path]
    rest = [name for name in properties if name not in in_path]
    if not request.changes or request.method == "DELETE":
        described["parameters"] += [
            _parameter(name, "query", properties[name], required=name in required) for name in rest
        ]
    elif request.params is not Nothing and rest:
        schema = ref if not in_path else _without(params, in_path)
        described["requestBody"] = {"required": True, "content": {_JSON: {"schema": schema}}}
    if request.changes:
        described["parameters"].append(_NUMBER)
    described["responses"] = _responses({_JSON: {"schema": answer}})
    return described


#: The header that makes a change idempotent.
_NUMBER: Final[Json] = {
    "name": "X-Request-Id",
    "in": "header",
    "required": False,
    "description": "Number of the client's own for this request: asked again with it, the answer is the same.",
    "schema": {"type": "string", "maxLength": 128},
}


def _without(params: Json, names: Iterable[str]) -> Json:
    """Return the schema of the body where some of the parameters are in the path."""
    left = set(names)
    return {
        **params,
        "properties": {name: each for name, each in params["properties"].items() if name not in left},
        "required": [name for name in params.get("required", ()) if name not in left],
    }


def _endpoint(endpoint: Endpoint) -> Json:
    described = _common(endpoint.name, endpoint.summary, endpoint.who)
    text = {"type": "string"}
    described["parameters"] = [
        _parameter(name, "path", text, required=True) for name in _IN_PATH.findall(endpoint.path)
    ]
    for name, meaning in endpoint.query:
        described["parameters"].append({**_parameter(name, "query", text, required=False), "description": meaning})
    if endpoint.takes:
        described["requestBody"] = {"required": True, "content": {endpoint.takes: {}}}
    described["responses"] = _responses({endpoint.gives: {}})
    return described


def _common(name: str, summary: str, who: Who) -> Json:
    described: Json = {"operationId": name, "summary": summary, "tags": [name.partition(".")[0]]}
    if who is not Who.ANYONE:
        described["security"] = [{"token": []}]
    if who is Who.ADMIN:
        described["description"] = "For administrators only."
    return described


def _parameter(name: str, where: str, schema: Json, *, required: bool) -> Json:
    return {"name": name, "in": where, "required": required, "schema": schema}


def _responses(content: Json) -> Json:
    return {
        "200": {"description": "Done.", "content": content},
        "default": {"$ref": "#/components/responses/Refused"},
    }
