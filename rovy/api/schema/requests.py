"""Requests. They are decoded strictly: unknown fields are refused."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from rovy.dht.const import MAX_NAME, RECORD_TTL

MAX_BODY = 16384
"""Bytes of the longest request that is read."""
MAX_PING = 16384

Target = Annotated[str, Meta(min_length=1, max_length=1024)]
Name = Annotated[str, Meta(max_length=63)]
Kind = Annotated[str, Meta(min_length=1, max_length=16)]
RecordName = Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]
Encoding = Literal["text", "base64"]
Patience = Annotated[float, Meta(gt=0, le=600)]


class Request(Struct, forbid_unknown_fields=True, frozen=True):
    """Something asked; unknown fields are refused, as they may be spelling mistakes."""


class AddPeer(Request, frozen=True):
    """POST /v1/peers"""

    address: Target
    name: Name = ""


class Ping(Request, frozen=True):
    """POST /v1/ping"""

    target: Target
    size: Annotated[int, Meta(ge=0, le=MAX_PING)] = 0
    """Bytes the probe carries."""
    timeout: Patience = 5.0
    """Seconds."""


class Resolve(Request, frozen=True):
    """POST /v1/resolve"""

    target: Target
    timeout: Patience = 5.0
    """Seconds."""
    dht: bool = False
    """Look the node up in the DHT even where a way is known."""


class Lookup(Request, frozen=True):
    """POST /v1/lookup"""

    target: Target
    """A node, or any id as 40 hex digits."""
    timeout: Patience = 10.0
    """Seconds."""


class GetRecord(Request, frozen=True):
    """POST /v1/dht/get"""

    kind: Kind
    """name, service, or a number from 128 to 255"""
    name: RecordName
    peer: Annotated[str, Meta(max_length=1024)] = ""
    """Who signed it; empty: this node."""
    timeout: Patience = 10.0
    """Seconds."""


class PutRecord(Request, frozen=True):
    """POST /v1/dht/put"""

    kind: Kind
    """name, service, or a number from 128 to 255"""
    name: RecordName
    body: str
    """At most 1024 bytes."""
    encoding: Encoding = "text"
    """Of `body`: text, which is stored as UTF-8, or base64"""
    ttl: Annotated[int, Meta(ge=1, le=RECORD_TTL)] = RECORD_TTL
    """Seconds that it counts."""
    timeout: Patience = 10.0
    """Seconds."""


class Traceroute(Request, frozen=True):
    """POST /v1/traceroute"""

    target: Target
    timeout: Annotated[float, Meta(gt=0, le=60)] = 2.0
    """Seconds that each question may take."""


class AllowRule(Request, frozen=True):
    """POST /v1/firewall"""

    rule: Annotated[str, Meta(min_length=1, max_length=256)]
