"""All that can be asked of the API: the server's handlers and the OpenAPI document follow it."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from msgspec import Struct

from rovy.api import schema

JSON: Final = "application/json"
LINES: Final = "application/x-ndjson"
TEXT: Final = "text/plain"


@dataclass(frozen=True, slots=True)
class Route:
    """One request."""

    method: str
    path: str
    handler: str
    """Name of the server's method; without the `_` it names the operation."""
    summary: str
    answer: type[Struct] | None = None
    """What comes back, or each line of it; None where that is described elsewhere."""
    body: type[schema.Request] | None = None
    status: int = HTTPStatus.OK
    other_status: int = 0
    """A second status of success."""
    content: str = JSON


ROUTES: Final = (
    Route("GET", "/v1/info", "_info", "Who this node is and how it does", schema.Info),
    Route("GET", "/v1/peers", "_peers", "Peerings, and peers that are to be", schema.Peers),
    Route(
        "POST",
        "/v1/peers",
        "_add_peer",
        "Keep a peer",
        schema.Added,
        schema.AddPeer,
        HTTPStatus.CREATED,
        HTTPStatus.OK,
    ),
    Route("DELETE", "/v1/peers/{peer}", "_remove_peer", "Keep it no longer", schema.Removed),
    Route("GET", "/v1/discovery", "_discovery", "Nodes on the local network", schema.Discovery),
    Route("GET", "/v1/sessions", "_sessions", "Sessions and their paths", schema.Sessions),
    Route("GET", "/v1/routes", "_routes", "Routes to nodes there are sessions with", schema.Routes),
    Route("GET", "/v1/map", "_map", "The nodes that are known", schema.Map),
    Route("GET", "/v1/counters", "_counters", "All counters", schema.Counters),
    Route(
        "GET",
        "/v1/events",
        "_events",
        "What happens, one JSON object a line",
        schema.Event,
        content=LINES,
    ),
    Route("POST", "/v1/ping", "_ping", "Measure one round trip", schema.Pong, schema.Ping),
    Route(
        "POST",
        "/v1/resolve",
        "_resolve",
        "Find the routes to a node",
        schema.Resolved,
        schema.Resolve,
    ),
    Route(
        "POST",
        "/v1/lookup",
        "_lookup",
        "Look a node up in the DHT, step by step",
        schema.LookedUp,
        schema.Lookup,
    ),
    Route("GET", "/v1/dht", "_dht", "The DHT as this node sees it", schema.Dht),
    Route(
        "POST",
        "/v1/dht/get",
        "_get_record",
        "What a node has said under a name",
        schema.Record,
        schema.GetRecord,
    ),
    Route(
        "POST",
        "/v1/dht/put",
        "_put_record",
        "Say something under a name",
        schema.Put,
        schema.PutRecord,
    ),
    Route(
        "POST",
        "/v1/traceroute",
        "_traceroute",
        "Ask every node along a route who it is",
        schema.Traced,
        schema.Traceroute,
    ),
    Route("GET", "/v1/firewall", "_firewall", "What others may begin", schema.Firewall),
    Route(
        "POST",
        "/v1/firewall",
        "_allow",
        "Let something in",
        schema.Allowed,
        schema.AllowRule,
        HTTPStatus.CREATED,
        HTTPStatus.OK,
    ),
    Route("DELETE", "/v1/firewall/{rule}", "_deny", "Let it in no longer", schema.Denied),
    Route("POST", "/v1/reload", "_reload", "Read the configuration again", schema.Reloaded),
    Route(
        "POST", "/v1/stop", "_stop", "End the daemon", schema.Stopping, status=HTTPStatus.ACCEPTED
    ),
    Route("GET", "/v1/openapi.json", "_openapi", "This API as an OpenAPI 3.1 document"),
    Route("GET", "/metrics", "_metrics", "All counters for Prometheus", content=TEXT),
)
