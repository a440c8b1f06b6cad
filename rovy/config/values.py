"""From text and TOML values to settings. Each reader raises `Malformed` with the remedy."""

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable
from ipaddress import ip_address
from typing import Final, TypeVar

from rovy.address.keys import PeerID
from rovy.address.multiaddr import Endpoint, Multiaddr
from rovy.address.target import RoutedAddr, parse_target
from rovy.config.settings import PeerSetting, check_name
from rovy.errors import Malformed

NETWORK_KEY_BYTES: Final = 32
LISTEN_EXAMPLE: Final = "/ip4/0.0.0.0/udp/1312"
PEER_EXAMPLE: Final = "/ip4/192.0.2.1/udp/1312/rovy/<peer id>"
T = TypeVar("T")


class BadItem(Malformed):
    """One entry of a list is wrong; `item` helps to find its line."""

    def __init__(self, message: str, item: object) -> None:
        super().__init__(message)
        self.item = item


def read_listen(text: str) -> Multiaddr:
    """An address to receive on: an IP address and port, no peer, no host name."""
    address = _or_remedy(Multiaddr.parse, text, f"write one such as {LISTEN_EXAMPLE}")
    if address.peer or address.endpoint is None:
        raise Malformed(f"{text}: write an IP address and port alone, such as {LISTEN_EXAMPLE}")
    return address


def read_metrics_listen(text: str) -> Endpoint | None:
    """A loopback address and TCP port, or nothing."""
    if not text:
        return None
    endpoint = _or_remedy(Endpoint.parse, text, "write one such as 127.0.0.1:9312")
    if not ip_address(endpoint.host).is_loopback:
        raise Malformed(
            f"{text} is open to other machines, which would see your peers: name a loopback"
            " address, and let a proxy with a password serve it elsewhere"
        )
    return endpoint


def read_interface_name(text: str) -> str:
    """A name that the kernel and nft take."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,15}", text):
        raise Malformed(f"{text!r} names no interface: up to 15 letters, digits, - and _")
    return text


def read_interface_pattern(text: str) -> str:
    """A name of an interface, in which `*` and `?` stand for others."""
    if not re.fullmatch(r"[!-.0-~]{1,15}", text):
        raise Malformed(f"{text!r} names no interface: up to 15 characters, such as eth0 or wl*")
    return text


def read_peer(address: str, name: str = "") -> PeerSetting:
    """A peer to be kept: where it is and who it is."""
    remedy = f"write one such as {PEER_EXAMPLE}"
    target = _or_remedy(parse_target, address, remedy)
    if not isinstance(target, Multiaddr | RoutedAddr):
        raise Malformed(f"{address} does not say where the peer is: {remedy}")
    if target.peer is None:
        raise Malformed(f"{address} does not say who is expected there: add /rovy/<peer id>")
    return PeerSetting(target, check_name(name) if name else "")


def read_peer_id(text: str) -> PeerID:
    """A peer id."""
    return _or_remedy(PeerID.parse, text, "write a peer id, 59 characters beginning bafzqai")


def read_network_key(text: str) -> bytes:
    """The key of a private network; the error never shows the text."""
    try:
        key = b64decode(text[1:] + "=" * (-len(text[1:]) % 4), validate=True)
    except (Base64Error, ValueError):
        key = b""
    if len(key) != NETWORK_KEY_BYTES or write_network_key(key) != text or not any(key):
        raise Malformed(
            "not a network key: it is m and 43 characters of base64 (32 bytes, not all zero);"
            " `rovyctl keygen --network` makes one"
        )
    return key


def write_network_key(key: bytes) -> str:
    """Multibase base64 of a network key."""
    return "m" + b64encode(key).decode("ascii").rstrip("=")


def string(value: object) -> str:
    """Text of a TOML file."""
    if not isinstance(value, str):
        raise Malformed(f"{_kind(value)} instead of text: put it in quotes")
    return value


def boolean(value: object) -> bool:
    """True or false of a TOML file."""
    if not isinstance(value, bool):
        raise Malformed(f"{_kind(value)} instead of true or false")
    return value


def integer(least: int, most: int) -> Callable[[object], int]:
    """A reader of numbers within bounds."""

    def read(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise Malformed(f"{_kind(value)} instead of a whole number")
        if not least <= value <= most:
            raise Malformed(f"{value} is out of bounds: choose {least} to {most}")
        return value

    return read


def choice(*options: str) -> Callable[[object], str]:
    """A reader of one word of several."""

    def read(value: object) -> str:
        if string(value) not in options:
            raise Malformed(f"{value!r} is none of {', '.join(options)}")
        return string(value)

    return read


def list_of(read: Callable[[str], T], most: int = 4096) -> Callable[[object], list[T]]:
    """A reader of a list of texts."""

    def read_all(value: object) -> list[T]:
        if not isinstance(value, list):
            raise Malformed(f"{_kind(value)} instead of a list: put it in [ ]")
        if len(value) > most:
            raise Malformed(f"{len(value)} entries; at most {most} are taken")
        found = []
        for item in value:
            try:
                found.append(read(string(item)))
            except Malformed as error:
                raise BadItem(str(error), item) from None
        return found

    return read_all


def _or_remedy(read: Callable[[str], T], text: str, remedy: str) -> T:
    try:
        return read(text)
    except Malformed as error:
        raise Malformed(f"{error}; {remedy}") from None


def _kind(value: object) -> str:
    names = {str: "text", bool: "true or false", list: "a list", dict: "a table", int: "a number"}
    return names.get(type(value), f"a {type(value).__name__}")
