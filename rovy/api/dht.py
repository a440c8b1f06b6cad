"""What can be asked of the DHT over the API."""

import base64
import binascii
import re
from typing import Final

from rovy.address.keys import PeerID
from rovy.address.target import NodeAddress, Target
from rovy.api import schema
from rovy.api.control import Control
from rovy.api.dht_views import lookup_view, put_view, record_view
from rovy.dht.const import MAX_BODY, MAX_NAME
from rovy.errors import Malformed, Unreachable, UsageError

_ID: Final = re.compile("[0-9A-Fa-f]{40}")


async def look_up(control: Control, asked: schema.Lookup) -> schema.LookedUp:
    """Where a node is, or who is near an id, and how that was found out."""
    info = await control.node.lookup(_sought(control, asked.target), timeout=asked.timeout)
    return lookup_view(control.kept(), _known(control), info)


async def get_record(control: Control, asked: schema.GetRecord) -> schema.Record:
    """What a node, by default this one, has said under a name."""
    _check_name(asked.name)
    peer = control.node.peer_id
    if asked.peer:
        peer = await _signer(control, asked.peer, asked.timeout)
    info = await control.node.dht_get(asked.kind, asked.name, peer, timeout=asked.timeout)
    return record_view(control.kept(), info)


async def put_record(control: Control, asked: schema.PutRecord) -> schema.Put:
    """Say something under a name."""
    _check_name(asked.name)
    body = _body(asked)
    return put_view(
        await control.node.dht_put(
            asked.kind, asked.name, body, ttl=asked.ttl, timeout=asked.timeout
        )
    )


def _sought(control: Control, text: str) -> Target | bytes:
    """A node, or an id that nobody needs to have."""
    return bytes.fromhex(text) if _ID.fullmatch(text) else control.find(text)


async def _signer(control: Control, text: str, timeout: float) -> PeerID:
    """Whom a text names: a record's place follows from the signer's key."""
    target = control.find(text)
    if isinstance(target, PeerID):
        return target
    if isinstance(target, NodeAddress):
        return await _key_of(control, target, timeout)
    peer = getattr(target, "peer", None)
    if not isinstance(peer, PeerID):
        raise UsageError(f"{text} does not say who signed it: give a name, peer id or address")
    return peer


async def _key_of(control: Control, address: NodeAddress, timeout: float) -> PeerID:
    for peer in _known(control):
        if peer.address == address.packed:
            return peer
    info = await control.node.lookup(address, timeout=timeout)
    if info.locator is None:
        raise Unreachable("not found", f"nobody knows whose address {address} is")
    return info.locator.peer


def _known(control: Control) -> set[PeerID]:
    """Nodes whose keys are known here."""
    node = control.node
    met = {session.peer for session in node.sessions()}
    return met.union(control.kept(), (known.peer for known in node.map_nodes()))


def _check_name(name: str) -> None:
    if len(name.encode()) > MAX_NAME:
        raise UsageError(f"the name has {len(name.encode())} bytes: choose one of {MAX_NAME}")


def _body(asked: schema.PutRecord) -> bytes:
    try:
        body = (
            base64.b64decode(asked.body, validate=True)
            if asked.encoding == "base64"
            else asked.body.encode()
        )
    except (binascii.Error, ValueError):
        raise Malformed("the body is not base64, as its encoding says") from None
    if len(body) > MAX_BODY:
        raise UsageError(
            f"the body has {len(body)} bytes; a record has room for {MAX_BODY}: say where the rest"
            " is to be had"
        )
    return body
