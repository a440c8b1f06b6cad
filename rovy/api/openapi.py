"""The API as an OpenAPI 3.1 document, made from the routes and the types they name."""

import ast
import inspect
import re
from http import HTTPStatus
from itertools import chain, pairwise
from typing import Any, Final

import msgspec

from rovy import __version__
from rovy.api import schema
from rovy.api.routes import JSON, ROUTES, Route

DESCRIPTION: Final = (
    "HTTP on a Unix socket: whoever may open it may control the node. Fields may be added to"
    " answers; none is renamed, removed or given another meaning."
)
_REF: Final = "#/components/schemas/{name}"
_PARAMETER: Final = re.compile(r"{(\w+)}")


def document() -> dict[str, Any]:
    """The document, ready to be written as JSON."""
    types = [kind for route in ROUTES for kind in (route.answer, route.body) if kind]
    types.append(schema.Failure)
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    references = dict(zip(types, schemas, strict=True))
    _describe(components)
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, references)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "rovyd",
            "version": __version__,
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0 OR MIT", "identifier": "Apache-2.0 OR MIT"},
        },
        "servers": [{"url": "http://rovyd", "description": "Through the daemon's Unix socket."}],
        "paths": paths,
        "components": {"schemas": components},
    }


def _operation(route: Route, references: dict[type, Any]) -> dict[str, Any]:
    content = {route.content: {"schema": references[route.answer]} if route.answer else {}}
    responses = {
        str(int(status)): {"description": HTTPStatus(status).phrase, "content": content}
        for status in (route.status, route.other_status)
        if status
    }
    failure = {"description": "Why it failed", "content": _json(references[schema.Failure])}
    operation: dict[str, Any] = {
        "operationId": route.handler.removeprefix("_"),
        "summary": route.summary,
        "responses": {**responses, "default": failure},
    }
    if route.body:
        operation["requestBody"] = {"required": True, "content": _json(references[route.body])}
    names = _PARAMETER.findall(route.path)
    if names:
        operation["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in names
        ]
    return operation


def _json(reference: Any) -> dict[str, Any]:
    return {JSON: {"schema": reference}}


def _describe(components: dict[str, Any]) -> None:
    """Give fields the texts that stand below them in the source, which no type keeps."""
    modules = {inspect.getmodule(getattr(schema, name)) for name in components}
    sources = (ast.parse(inspect.getsource(module)) for module in modules if module)
    for definition in chain.from_iterable(source.body for source in sources):
        if not isinstance(definition, ast.ClassDef) or definition.name not in components:
            continue
        properties = components[definition.name]["properties"]
        for field, text in pairwise(definition.body):
            match field, text:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(
                    value=ast.Constant(value=str(words))
                ):
                    properties[name]["description"] = words
