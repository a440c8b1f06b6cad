"""From what a node tells of the DHT to what the API shows."""

import base64
import time
from collections.abc import Iterable

from rovy.address.keys import PeerID, address_text
from rovy.api import schema
from rovy.api.views import Kept, name_of
from rovy.node.events import (
    AnchorInfo,
    DhtInfo,
    LocatorInfo,
    LookupInfo,
    PutInfo,
    RecordInfo,
    StepInfo,
)

ID_BITS = 160


def size_view(info: DhtInfo) -> schema.NetworkSize:
    """How large the network is."""
    return schema.NetworkSize(info.size, info.exact)


def dht_view(kept: Kept, info: DhtInfo) -> schema.Dht:
    """The state of the DHT."""
    return schema.Dht(
        joined=info.joined,
        contacts=info.contacts,
        buckets=info.buckets,
        values=info.values,
        published=info.published,
        network_size=size_view(info),
        lookups=info.lookups,
        found=info.found,
        requests=info.requests,
        unanswered=info.unanswered,
        answered=info.answered,
        anchors=[_anchor(kept, anchor) for anchor in info.anchors],
    )


def steps_view(kept: Kept, steps: Iterable[StepInfo]) -> list[schema.Step]:
    """A lookup, question by question."""
    return [
        schema.Step(
            peer_id=str(step.peer),
            address=address_text(step.peer.address),
            name=name_of(kept, step.peer),
            route=step.route,
            shared=step.shared,
            rtt=step.rtt,
            result=step.result,
            contacts=step.contacts,
        )
        for step in steps
    ]


def lookup_view(kept: Kept, known: Iterable[PeerID], info: LookupInfo) -> schema.LookedUp:
    """What a lookup brought; nodes among the `known` are called by more than their shorts."""
    shorts = {peer.short: peer for peer in (*known, *(step.peer for step in info.steps))}
    return schema.LookedUp(
        target=info.target.hex(),
        bits=info.bits,
        locator=_locator(kept, shorts, info.locator) if info.locator else None,
        nearest=[_near(kept, peer, info.target) for peer in info.nearest],
        steps=steps_view(kept, info.steps),
        took=info.took,
    )


def record_view(kept: Kept, info: RecordInfo) -> schema.Record:
    """A record that was found."""
    body, encoding = _encoded(info.body)
    return schema.Record(
        kind=info.kind,
        name=info.name,
        peer_id=str(info.peer),
        address=address_text(info.peer.address),
        peer_name=name_of(kept, info.peer),
        body=body,
        encoding=encoding,
        sequence=info.sequence,
        ttl=info.ttl,
        left=_left(info.sequence, info.ttl),
    )


def put_view(info: PutInfo) -> schema.Put:
    """Who took a record."""
    return schema.Put(info.stored, info.asked, info.refused)


def _encoded(body: bytes) -> tuple[str, schema.Encoding]:
    try:
        return body.decode(), "text"
    except UnicodeDecodeError:
        return base64.b64encode(body).decode("ascii"), "base64"


def _left(sequence: int, ttl: int) -> float:
    return max(0.0, sequence / 1000 + ttl - time.time())


def _locator(kept: Kept, shorts: dict[bytes, PeerID], info: LocatorInfo) -> schema.Locator:
    return schema.Locator(
        peer_id=str(info.peer),
        address=address_text(info.peer.address),
        name=name_of(kept, info.peer),
        sequence=info.sequence,
        ttl=info.ttl,
        left=_left(info.sequence, info.ttl),
        anchors=[[_short(kept, shorts, node) for node in path] for path in info.anchors],
        links=[_short(kept, shorts, node) for node in info.links],
        endpoints=list(info.endpoints),
        size=info.size,
    )


def _short(kept: Kept, shorts: dict[bytes, PeerID], short: bytes) -> schema.Short:
    peer = shorts.get(short)
    return schema.Short(short.hex(), str(peer or ""), name_of(kept, peer))


def _near(kept: Kept, peer: PeerID, target: bytes) -> schema.Near:
    distance = int.from_bytes(peer.node_id, "big") ^ int.from_bytes(target, "big")
    shared = ID_BITS - distance.bit_length()
    return schema.Near(str(peer), address_text(peer.address), name_of(kept, peer), shared)


def _anchor(kept: Kept, info: AnchorInfo) -> schema.Anchor:
    name, address = name_of(kept, info.peer), address_text(info.peer.address)
    return schema.Anchor(str(info.peer), address, name, info.state, info.hops, info.cost)
