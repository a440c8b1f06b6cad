"""The OpenAPI document: valid, complete, and in step with the server and docs/api.md."""

import re
from pathlib import Path

import msgspec
import pytest
from openapi_spec_validator import validate

from rovy.api import schema
from rovy.api.openapi import document
from rovy.api.routes import ROUTES
from rovy.api.server import Server
from tests.unit.api.fakes import FakeControl

DOCS = Path(__file__).resolve().parents[3] / "docs" / "api.md"
REQUEST = re.compile(r"`?(GET|POST|PUT|DELETE) (/[^\s`]*)`?")
FIELD = re.compile(r"`([a-z_]+)`")
PARTS = {
    "GET /v1/info": "Info MapSize NetworkSize Interface",
    "GET /v1/peers": "Peer",
    "GET /v1/sessions": "Session Path",
    "GET /v1/routes": "Route Hop",
    "GET /v1/map": "Map MapNode MapLink",
    "GET /v1/events": "Event",
    "POST /v1/lookup": "LookedUp Locator Short Near Step",
    "GET /v1/dht": "Dht Anchor",
    "POST /v1/traceroute": "Traced TracedHop",
    "GET /v1/firewall": "Firewall FirewallRule",
}
"""Where a section of docs/api.md is about the types inside the answer."""


@pytest.fixture(scope="module")
def doc() -> dict:
    return document()


def operations(doc: dict) -> dict[str, dict]:
    return {
        f"{method.upper()} {path}": operation
        for path, methods in doc["paths"].items()
        for method, operation in methods.items()
    }


def sections() -> dict[str, str]:
    """Of docs/api.md, by the request they are about."""
    parts = re.split(r"^## (.*)$", DOCS.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.slow
def test_it_is_valid(doc):
    validate(doc)


def test_it_has_the_routes_that_the_server_has(doc):
    routes = Server(FakeControl())._runner.app.router.routes()
    served = {f"{route.method} {route.resource.canonical}" for route in routes}
    assert served == set(operations(doc))


def test_operations_are_told_apart(doc):
    names = [operation["operationId"] for operation in operations(doc).values()]
    assert len(set(names)) == len(ROUTES) == len(names)
    assert all(name.isidentifier() and not name.startswith("_") for name in names)


def test_every_type_of_the_schema_is_there(doc):
    types = {
        name
        for name, kind in vars(schema).items()
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind.__struct_fields__
    }
    assert types == set(doc["components"]["schemas"])


def test_fields_have_the_texts_of_the_source(doc):
    schemas = doc["components"]["schemas"]
    assert schemas["Info"]["properties"]["problems"]["description"] == "What does not work now."
    assert schemas["Ping"]["properties"]["size"]["maximum"] == schema.MAX_PING
    assert schemas["Ping"]["additionalProperties"] is False


def test_the_table_of_the_docs_names_every_route(doc):
    documented = {" ".join(match) for match in REQUEST.findall(DOCS.read_text().split("## ")[0])}
    assert documented == set(operations(doc))


@pytest.mark.parametrize("route", [r for r in ROUTES if r.answer], ids=lambda r: r.handler)
def test_the_docs_name_every_field(route):
    name = f"{route.method} {route.path}"
    names = PARTS.get(name, route.answer.__name__).split()
    types = [getattr(schema, each) for each in names] + ([route.body] if route.body else [])
    text = sections()[name]
    words = set(re.findall(r"\w+", " ".join(re.findall(r"`[^`]*`", text))))
    missing = {field for kind in types for field in kind.__struct_fields__} - words
    assert not missing


@pytest.mark.parametrize(
    "name",
    [
        "GET /v1/info",
        "GET /v1/peers",
        "GET /v1/sessions",
        "GET /v1/routes",
        "GET /v1/map",
        "GET /v1/dht",
        "POST /v1/lookup",
        "POST /v1/dht/get",
        "POST /v1/traceroute",
    ],
)
def test_the_docs_name_no_field_that_is_not_there(name):
    rows = [line.split("|")[1] for line in sections()[name].splitlines() if line.startswith("| `")]
    route = next(r for r in ROUTES if f"{r.method} {r.path}" == name)
    types = [getattr(schema, each) for each in PARTS.get(name, route.answer.__name__).split()]
    known = {field for kind in types for field in kind.__struct_fields__}
    assert {field for row in rows for field in FIELD.findall(row)} <= known
