"""Names and addresses: keys and PeerIDs, fc00::/8, route labels, multiaddrs, key files."""

from rovy.address.keyfile import KeyFile
from rovy.address.keys import (
    PeerID,
    PrivateKey,
    address_text,
    check_key,
    parse_address,
)
from rovy.address.label import (
    MAX_LABEL,
    MAX_SLOT,
    SMALL,
    Label,
    Slot,
    Width,
    back_label,
    decode_entry,
    encode_entry,
    entry_width,
    narrowest,
)
from rovy.address.multiaddr import Endpoint, Kind, Multiaddr
from rovy.address.target import NodeAddress, RoutedAddr, Target, parse_target

__all__ = [
    "PeerID",
    "PrivateKey",
    "KeyFile",
    "check_key",
    "address_text",
    "parse_address",
    "Slot",
    "Width",
    "Label",
    "back_label",
    "encode_entry",
    "decode_entry",
    "entry_width",
    "narrowest",
    "SMALL",
    "MAX_SLOT",
    "MAX_LABEL",
    "Endpoint",
    "Kind",
    "Multiaddr",
    "NodeAddress",
    "RoutedAddr",
    "Target",
    "parse_target",
]
